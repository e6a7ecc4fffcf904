"""What pages are made of: every file of the folder is served, and every script that a script
imports is there.
"""

import re

from geosvc.assets import FILES, FOLDER, MAP_SCRIPTS

SCRIPTS = sorted(path.name for path in FOLDER.glob("*.js"))


def imports_of(script: str) -> set[str]:
    """What a script imports, now or later."""
    text = (FOLDER / script).read_text("utf-8")
    return set(re.findall(r'(?:from |import\()"\./([^"]+)"', text))


def test_every_file_of_the_folder_is_served_but_what_belongs_to_no_page() -> None:
    there = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert there == {name for name in FILES if "/" not in name}
    assert len(FILES) == len(set(FILES))


def test_scripts_import_only_scripts_that_are_served() -> None:
    assert "map.js" in imports_of("pages.js")
    missing = {script: imports_of(script) - set(SCRIPTS) for script in SCRIPTS}
    assert {script: names for script, names in missing.items() if names} == {}


def test_pages_with_a_map_name_all_scripts_that_the_map_imports() -> None:
    reached, waiting = set(), {"map.js"}
    while waiting:
        script = waiting.pop()
        reached.add(script)
        waiting |= imports_of(script) - reached
    assert set(MAP_SCRIPTS) == reached
