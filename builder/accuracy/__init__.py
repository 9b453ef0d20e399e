"""How far a variant is from the original, in what an engineer counts: boxes, scores, mAP.

``labels`` and ``coco`` give mAP, ``agreement`` compares detections, ``limits`` and ``verdict`` say
what is allowed, ``saliency`` shows what a model looks at.
"""

__all__: list[str] = []
