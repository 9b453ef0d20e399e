"""What the metrics' own authors' programs give for the pictures of `pictures.py`.

Run once, outside of this repository, in GNU Octave 7.3 with its image package, on PNG files of the
pictures (grey metrics: of OpenCV's grey of them): `img_qi` (Wang), `ssim_index` (Wang),
`vifp_mscale` (Sheikh), `iwssim` (Wang, with matlabPyrTools), `GMSD` (Xue), `FeatureSIM` (L. Zhang),
`VSI` and `SDSP` (L. Zhang), `nqm` (Damera-Venkata, as MeTriX MuX 1.1 calls it), `MAD_index`
(Larson, with its C functions `ical_std` and `ical_stat`), `DSCSI` (Lee, with the S-CIELAB of X.
Zhang and the colorspace of Getreuer). None of their code is here. `DSCSI` was given arrays in place
of file names, `ical_std` lost a line that frees what is not its own, and in the copy of `iwssim`
that was at hand two lines that somebody had changed were put back as published. Octave's imresize
does not smooth where it shrinks, as MATLAB's does, so VSI has values only for the size at which
nothing is resized. Of odd sides, the programs of NQM and MAD's appearance half shift their filters
by half a line; ours do not, so those have none there.
"""

# Picture size -> metric -> the score of each distortion, in this order.
ORDER = ("blur", "noise", "dark", "blocks", "tint")
SCORES = {
    "square": {
        "uqi": (0.226874570617, 0.40281830981, 0.748961466525, 0.0720150714367, 0.976554229422),
        "ssim": (0.761408742463, 0.679673930369, 0.840178302197, 0.643972149114, 0.997251498251),
        "vif": (0.213417350536, 0.436801243636, 0.739410656421, 0.0545502039181, 0.95981901502),
        "iw-ssim": (0.901617803568, 0.944242564926, 0.896472580556, 0.637080667191, 0.996248214773),
        "gmsd": (0.15420073925, 0.0639545172472, 0.0449740034044, 0.292021958439, 0.00259879834962),
        "fsim": (0.766324350688, 0.856333404059, 0.942393743134, 0.638216408516, 0.997950838403),
        "fsimc": (0.765393684669, 0.846800076475, 0.939998100596, 0.63690933309, 0.975460078809),
        "vsi": (0.942872616572, 0.947062245561, 0.986648084402, 0.886619870305, 0.989612439848),
        "nqm": (12.1576814074, 18.7207997878, 8.91650831628, 3.67079126259, 21.063330736),
        "mad": (59.7287147606, 55.0582237469, 44.951696603, 101.156812933, 17.561059837),
        "mad-hi": (30373.1725275, 9766.83823423, 205724.822625, 84106.20199, 184.138511604),
        "mad-lo": (1.80370321216, 1.89472327506, 1.11775656554, 3.69744642196, 1.35949548273),
        "dscsi": (0.63474520652, 0.646289528066, 0.847204703058, 0.311040092483, 0.588910310011),
    },
    "wide": {
        "uqi": (0.258769533687, 0.377233832805, 0.747831095962, 0.0982323125658, 0.975674005697),
        "ssim": (0.793197964341, 0.667098144808, 0.842835978014, 0.668328965524, 0.997160282569),
        "vif": (0.232209864693, 0.440418235671, 0.736371797648, 0.0609305818999, 0.9649932604),
        "iw-ssim": (0.904006032705, 0.94379824908, 0.896124956028, 0.626493607647, 0.996479442567),
        "gmsd": (
            0.157755532993,
            0.0617444472918,
            0.0458137451153,
            0.296721735334,
            0.00294212795382,
        ),
        "fsim": (0.798193113784, 0.844502605435, 0.948342148307, 0.669391813006, 0.997872474245),
        "fsimc": (0.797582736777, 0.834996556008, 0.945923937453, 0.669232489983, 0.976720241101),
        "nqm": (11.2215227602, 17.9268664204, 8.97263990513, 2.71896721905, 20.2598308647),
        "mad": (60.1915446214, 56.3549971587, 44.814765131, 101.798701922, 16.5852411228),
        "mad-hi": (34022.0762545, 12097.9380086, 220019.06964, 88397.3861973, 163.479363335),
        "mad-lo": (1.80424644969, 1.88482890897, 1.11604599207, 3.72104640838, 1.32118596553),
        "dscsi": (0.652540146684, 0.642568052379, 0.848077463392, 0.309098184717, 0.573354471509),
    },
    "odd": {  # 187 x 213, the first two distortions only
        "uqi": (0.301650634848, 0.490338313506),
        "ssim": (0.737351977151, 0.723685533727),
        "vif": (0.24340026943, 0.488006028167),
        "iw-ssim": (0.883815692151, 0.962076442809),
        "gmsd": (0.182433741265, 0.0592280562342),
        "fsim": (0.766433183695, 0.874945415504),
        "fsimc": (0.762302331529, 0.865616072347),
        "mad-hi": (27462.6742127, 8292.0435164),
        "dscsi": (0.593790113427, 0.67063347744),
    },
}
