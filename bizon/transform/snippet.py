"""Compiling a transform snippet, for the validation of the config and for the transform itself."""

import ast
from collections.abc import Callable
from textwrap import dedent
from typing import Any

_FUNCTION = "transform"


class SnippetError(ValueError):
    """The snippet is not valid Python. The message names the line within the snippet."""


def compile_snippet(label: str, python: str) -> Callable[[dict[str, Any]], Any]:
    """Turn a snippet into a function from ``data`` to the final ``data``. Raises SnippetError.

    The statements become the body of a function. So names assigned in the snippet are visible inside its own functions
    and comprehensions, and no name survives from one record to the next.
    """
    filename = f"<transform {label}>"
    try:
        source = dedent(python)
        compile(source, filename, "exec")  # refuses statements that are valid only inside a function, such as return
        body = ast.parse(source, filename=filename).body
        module = ast.parse(f"def {_FUNCTION}(data):\n    return data", filename=filename)
        function = module.body[0]
        if not isinstance(function, ast.FunctionDef):  # the template above defines one function
            raise SnippetError("the transform template is broken")
        function.body = [*body, *function.body]
        namespace: dict[str, Any] = {}
        exec(compile(module, filename, "exec"), namespace)
    except SyntaxError as error:
        raise SnippetError(f"line {error.lineno}: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise SnippetError("it is nested too deeply") from None
    snippet: Callable[[dict[str, Any]], Any] = namespace[_FUNCTION]
    return snippet
