"""The table of routes in docs/security.md: who may use each, from the registrations in the code."""

from collections.abc import Iterator

from algosat.api.access import Access
from algosat.api.all_routes import ROUTES
from tools.paths import ROOT
from tools.say import note

PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- routes: written by `make docs` -->\n", "<!-- end of routes -->\n"

_MEANING = {
    Access.PUBLIC: "everybody",
    Access.OPEN: "everybody if listed in `public_endpoints`, else each user",
    Access.VIEWER: "viewer",
    Access.TRADER: "trader",
    Access.ADMIN: "admin",
}


def main() -> None:
    """Write the table into the page."""
    PAGE.write_text(page(PAGE.read_text()))
    note(str(PAGE.relative_to(ROOT)))


def page(text: str) -> str:
    """Return the page with the present table between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "".join(table()) + END + after


def table() -> Iterator[str]:
    """Yield the rows: route, lowest role, and whether requests count towards the rate limit."""
    yield "\n| route | lowest role | rate limit |\n|---|---|---|\n"
    for route in sorted(ROUTES, key=lambda it: (it.path, it.method)):
        yield f"| `{route.endpoint}` | {_MEANING[route.access]} | {'yes' if route.limited else 'no'} |\n"
    yield "\n"


if __name__ == "__main__":
    main()
