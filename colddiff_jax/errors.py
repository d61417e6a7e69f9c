"""The error of everything a user can get wrong."""


class InputError(ValueError):
    """Bad input: one line that names the value, what was expected and the fix.

    The programs print it alone and exit with status 1; any other exception is a fault
    of ours and keeps its traceback.
    """
