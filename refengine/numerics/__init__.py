"""TFLM's arithmetic as functions of numbers: integers for people (`scalar`), the same names on arrays for speed."""
