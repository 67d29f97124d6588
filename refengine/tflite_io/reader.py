from ..model import Model
def load(source) -> Model:
    raise NotImplementedError
