from django.urls import path

from board import views

urlpatterns = [
    path("", views.index),
    path("healthz", views.healthz),
    path("version", views.version),
    path("slow", views.slow),
    path("upload", views.upload),
    path("reads", views.reads),
    path("enqueue", views.enqueue),
]
