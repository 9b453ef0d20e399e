"""What is wrong in one sentence: each rule, their order, and the sentence when all is well."""

from __future__ import annotations

from dataclasses import replace

from edge_agent.page.trouble import (
    ERROR,
    NOTICE,
    WARNING,
    CameraFacts,
    ModelFacts,
    fine,
    problems,
)

CAMERA = CameraFacts("cam-1", "defects", "up", age_s=0.1, interval_s=0.1)
MODEL = ModelFacts(
    "defects", 2, provider="cpu", wanted_provider="cpu", window_age_s=3.0, inferred=100
)


def told(camera=CAMERA, model=MODEL):
    return [(problem.level, problem.text) for problem in problems([camera], [model])]


def test_all_is_well():
    """No problem, and a sentence that says what is so."""
    assert told() == []
    assert fine([CAMERA], [MODEL], 9.96) == (
        "All is well: cam-1 sees what it should, defects 2 judges 9.96 frames a second."
    )
    other = replace(MODEL, name="labels", version=7)
    assert fine([CAMERA, CAMERA], [MODEL, other], 30.0) == (
        "All is well: all 2 cameras see what they should, defects 2 and labels 7 judge 30 frames a"
        " second."
    )


def test_a_device_without_a_release():
    """Before the first rollout the camera's silence is no fault; a failed load is."""
    nothing = replace(MODEL, version=0)
    silent = replace(CAMERA, state="waiting", age_s=None)
    assert told(silent, nothing) == [
        (NOTICE, "Model defects has no release yet: nothing is judged before a rollout brings one.")
    ]
    assert told(silent, replace(nothing, loading=True)) == [
        (NOTICE, "Model defects is being loaded.")
    ]
    assert told(silent, replace(nothing, error="abc cannot be loaded: no such file")) == [
        (ERROR, "Model defects cannot run: abc cannot be loaded: no such file.")
    ]


def test_a_camera_that_is_down_says_why():
    """The source's own reason, and since when."""
    down = replace(CAMERA, state="down", reason="camera cam-1: /dev/video0: no such file",
                   state_for_s=12.0)  # fmt: skip
    (problem,) = problems([down], [MODEL])
    assert problem.text == "Camera cam-1 gives no frames: /dev/video0: no such file."
    assert (problem.level, problem.for_s, problem.subject) == (ERROR, 12.0, "cam-1")


def test_a_degraded_camera_is_a_warning():
    """It gives frames, but not as it should."""
    slow = replace(CAMERA, state="degraded", reason="camera cam-1: 2 of 25 frames a second")
    assert told(slow) == [(WARNING, "Camera cam-1: 2 of 25 frames a second.")]


def test_silence_is_measured_by_the_cameras_own_rhythm():
    """Five seconds, or five of its intervals."""
    assert told(replace(CAMERA, age_s=4.9)) == []
    ((level, text),) = told(replace(CAMERA, age_s=5.1))
    assert level == ERROR and text.startswith("No frame of camera cam-1 was judged for 5 s")
    assert told(replace(CAMERA, age_s=30.0, interval_s=10.0)) == []
    assert len(told(replace(CAMERA, age_s=51.0, interval_s=10.0))) == 1


def test_the_gates_words_are_the_sentence():
    """Only once its alarm is raised."""
    words = "SSIM 0.31 is below 0.62: clean the lens"
    assert told(replace(CAMERA, verdict=words)) == []
    rejecting = replace(CAMERA, verdict=words, rejecting=True)
    assert told(rejecting) == [(WARNING, f"Camera cam-1: {words}.")]


def test_first_frame_and_last_frame_are_notices():
    """Neither is a fault."""
    assert told(replace(CAMERA, age_s=None)) == [
        (NOTICE, "Camera cam-1 has not given a frame yet.")
    ]
    assert told(replace(CAMERA, state="finished")) == [
        (NOTICE, "Camera cam-1 has come to the end of its recording.")
    ]


def test_faults_of_a_model_that_runs():
    """Each is a sentence of its own."""
    assert told(model=replace(MODEL, nonfinite=12)) == [
        (ERROR, "defects 2 gave values that are no numbers in 12 of 100 frames; go back to the"
                " release before.")
    ]  # fmt: skip
    assert told(model=replace(MODEL, errors=1, inferred=0)) == [
        (WARNING, "1 of 1 frame of defects ended in an error; the service's log says which.")
    ]
    assert told(model=replace(MODEL, wanted_provider="tensorrt")) == [
        (WARNING, "defects runs on cpu instead of tensorrt; `edge-agent doctor` says why.")
    ]
    assert told(model=replace(MODEL, error="3 starts without a commit; falling back")) == [
        (WARNING, "3 starts without a commit; falling back. defects 2 runs meanwhile.")
    ]
    assert told(model=replace(MODEL, drift="defects: outputs differ (PSI of score 0.4)")) == [
        (WARNING, "defects: outputs differ (PSI of score 0.4).")
    ]


def test_a_loop_that_hangs_is_noticed():
    """Three windows and five seconds without one."""
    assert told(model=replace(MODEL, window_age_s=34.0)) == []
    ((level, text),) = told(model=replace(MODEL, window_age_s=36.0))
    assert level == ERROR and "closed no window for 36 s" in text


def test_the_worst_comes_first():
    """Errors, warnings, notices; among equals the order of the configuration."""
    cameras = [
        replace(CAMERA, id="a", state="finished"),
        replace(CAMERA, id="b", rejecting=True, verdict="dark"),
        replace(CAMERA, id="c", state="down"),
    ]
    found = problems(cameras, [replace(MODEL, drift="scores moved")])
    assert [problem.subject for problem in found] == ["c", "defects", "b", "a"]


def test_no_camera_at_all():
    """A configuration that was only begun."""
    (problem,) = problems([], [MODEL])
    assert problem.level == NOTICE and "[[camera]]" in problem.text
