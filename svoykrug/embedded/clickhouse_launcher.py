"""Become a ClickHouse server: `python -I clickhouse_launcher.py LIBRARY --config-file=FILE`."""

import ctypes
import sys

# mainEntryClickHouseServer(int, char**), as C++ spells it.
ENTRY = "_Z25mainEntryClickHouseServeriPPc"


def main() -> int:
    library, *options = sys.argv[1:]
    arguments = [b"clickhouse-server", *(option.encode() for option in options)]
    # C expects a null pointer behind the last argument.
    array = (ctypes.c_char_p * (len(arguments) + 1))(*arguments, None)
    return int(getattr(ctypes.CDLL(library), ENTRY)(len(arguments), array))


if __name__ == "__main__":
    sys.exit(main())
