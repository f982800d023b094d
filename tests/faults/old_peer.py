import pathlib
HERE = pathlib.Path(__file__).resolve().parent
def check(env, outcome): pass
