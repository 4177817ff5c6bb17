import os
import time
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from .models import Note
from .tasks import work

VERSION = os.environ.get("LONGSHORE_VERSION", "unreleased")
LONGEST_SLEEP = 30


def index(request):
    motto = (Path(settings.BASE_DIR) / "motto.txt").read_text().strip()
    notes = list(Note.objects.all()[:20])
    return render(request, "board/index.html", {"notes": notes, "motto": motto, "version": VERSION})


def healthz(request):
    return HttpResponse("ok\n", content_type="text/plain")


def version(request):
    return HttpResponse(f"{VERSION}\n", content_type="text/plain")


def slow(request):
    seconds = min(float(request.GET.get("seconds", "1")), LONGEST_SLEEP)
    time.sleep(seconds)
    return HttpResponse(f"{VERSION}\n", content_type="text/plain")


@csrf_exempt
def upload(request):
    file = request.FILES.get("file")
    if request.method != "POST" or file is None:
        return HttpResponseBadRequest("POST a file in the field 'file'\n", content_type="text/plain")
    name = default_storage.save(Path(file.name).name, file)
    return HttpResponse(f"{name} {file.size}\n", content_type="text/plain", status=201)


def reads(request):
    Note.objects.count()
    return HttpResponse(f"{VERSION}\n", content_type="text/plain")


def enqueue(request):
    work.delay(request.GET["name"], float(request.GET["seconds"]))
    return HttpResponse("enqueued\n", content_type="text/plain")
