"""A consistent copy of the database as one file, and the way back.

    backup.zip
    ├── tables/users       one member a table: its rows as PostgreSQL's COPY writes text
    ├── tables/…
    ├── secret.key         only on request
    └── manifest.json      what is in the others, how much of it, and the SHA-256 of each

Nothing in it is ever executed, and no name in it is believed unless the database has it.
"""
