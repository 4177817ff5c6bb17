import os
import subprocess

from django.core.management.base import BaseCommand
from django.db import connection


class Command(BaseCommand):
    """Has pg_dump write the database into a file. Its password is in no words of a program."""

    def add_arguments(self, parser):
        parser.add_argument("file")

    def handle(self, file, **_):
        database = connection.settings_dict
        names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGDATABASE": "NAME", "PGUSER": "USER", "PGPASSWORD": "PASSWORD"}
        environment = {name: str(database[key]) for name, key in names.items()}
        subprocess.run(["pg_dump", "--file", file], env={**os.environ, **environment}, check=True)
