"""The subcommands of ``asmnet``: one module each, with ``add_parser`` and ``run``."""
