"""Which hooks a plugin's source implements, read from its syntax tree: nothing is run."""

import ast

from attrs import frozen

from leakpro_core.vetting.digest import Contents

_WRAPPERS = ("wrapper", "hookwrapper")


@frozen
class Declared:
    """A function marked with ``@hookimpl``."""

    name: str
    wrapper: bool


def declared_hooks(source: bytes) -> tuple[Declared, ...]:
    """Return the module's hook implementations, sorted by name; nothing if it does not parse.

    What is made at run time (by ``setattr``, say) is not seen here but after the import.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                options = _options(decorator)
                if options is not None:
                    hook = options.get("specname") or node.name
                    found.append(Declared(str(hook), any(options.get(w) for w in _WRAPPERS)))
    return tuple(sorted(found, key=lambda declared: declared.name))


def _options(decorator: ast.expr) -> dict[str, object] | None:
    """Return the keyword arguments of a ``hookimpl`` decorator; None if it is another one."""
    call = decorator if isinstance(decorator, ast.Call) else None
    name = decorator.func if isinstance(decorator, ast.Call) else decorator
    last = name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")
    if last != "hookimpl":
        return None
    return {
        keyword.arg: keyword.value.value
        for keyword in (call.keywords if call else ())
        if keyword.arg and isinstance(keyword.value, ast.Constant)
    }


def entry_hooks(contents: Contents) -> tuple[Declared, ...]:
    """Return the hooks that the modules of the entry points declare."""
    return tuple(hook for source in contents.sources.values() for hook in declared_hooks(source))
