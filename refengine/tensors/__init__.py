"""What a tensor means to people: values and pictures in and out, statistics, text and HTML of arrays, data sets."""
