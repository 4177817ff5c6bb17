import os
import time

from celery import shared_task

from .models import Note

VERSION = os.environ.get("LONGSHORE_VERSION", "unreleased")


@shared_task
def work(name, seconds):
    Note.objects.create(text=f"{name} begun by {VERSION}")
    time.sleep(seconds)
    Note.objects.create(text=f"{name} done by {VERSION}")


@shared_task
def pulse():
    Note.objects.filter(text__startswith="pulse").delete()
    Note.objects.create(text=f"pulse of {VERSION}")
