"""The studio: a page in the browser where one draws, watches the answer come about, and asks every number why.

What the page asks, `calls` answers out of the `Studio` that they share: networks, drawings, inferences. Nothing of that
knows of a network; `application` alone does, and `serving` gives it an address. The page lies in `page/`, plain HTML,
CSS and modules: what is there is what the browser runs.
"""
