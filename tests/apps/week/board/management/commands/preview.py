import os

import psycopg
import redis
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection
from psycopg import sql


class Command(BaseCommand):
    """A database of its own for a preview, from the template; and at its end nothing of it, nor of its jobs."""

    def add_arguments(self, parser):
        parser.add_argument("what", choices=["create", "drop"])

    def handle(self, what, **_):
        own = os.environ["LONGSHORE_PREVIEW_ID"]
        database = connection.settings_dict
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
        words = {name: str(database[key]) for name, key in names.items()}
        with psycopg.connect(dbname="postgres", autocommit=True, **words) as server:
            name = sql.Identifier(own)
            if what == "create":
                server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE cortico_template").format(name))
                print("DATABASE_URL=" + os.environ["DATABASE_URL"].rsplit("/", 1)[0] + "/" + own)
            else:
                server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        if what == "drop":
            broker = redis.from_url(settings.CELERY_BROKER_URL)
            for key in broker.scan_iter(settings.PREFIX + ":*"):
                broker.delete(key)
