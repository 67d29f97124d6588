"""What people use networks for: sounds in, boxes and masks out, and how good the answers are on a data set.

- `audio`: WAV files become what a network is fed, by a front end.
- `recognition`: what a network's outputs mean, as far as its graph tells.
- `detection` and `segmentation`: answers, and figures of merit as COCO and Pascal VOC have them.
- `drawing`: boxes and masks on the picture.
- `datasets`: inputs with the truth about them.
"""
