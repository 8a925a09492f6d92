"""An administrator looks after accounts, but makes no superuser, and touches none."""

import pytest
from django.contrib.auth.models import User

from tests.staff import form_of, staff


@pytest.fixture
def administrator(db):
    return staff("administrators")


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root", password="correct horse battery")


def test_an_administrator_makes_no_superuser(administrator):
    path = f"/admin/auth/user/{administrator.user.pk}/change/"
    form = {name: value for name, value in form_of(administrator, path).items() if name != "password"}

    saved = administrator.post(path, {**form, "first_name": "Ana", "is_superuser": "on"})

    assert saved.status_code == 302
    user = User.objects.get(pk=administrator.user.pk)
    assert (user.first_name, user.is_superuser) == ("Ana", False)


def test_an_administrator_touches_no_superuser(administrator, root):
    path = f"/admin/auth/user/{root.pk}"
    form = {"usable_password": "true", "password1": "another horse", "password2": "another horse"}

    assert administrator.post(f"{path}/change/", {"username": "gone"}).status_code == 403
    assert administrator.post(f"{path}/password/", form).status_code == 403
    assert administrator.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": root.pk, "post": "yes"}
    administrator.post("/admin/auth/user/", chosen)

    root.refresh_from_db()
    assert root.username == "root"
    assert root.check_password("correct horse battery")


def test_a_superuser_may(root, client):
    client.force_login(root)
    other = User.objects.create_user("other", password="correct horse battery", is_staff=True)
    path = f"/admin/auth/user/{other.pk}/change/"
    form = {name: value for name, value in form_of(client, path).items() if name != "password"}

    client.post(path, {**form, "is_superuser": "on"})

    other.refresh_from_db()
    assert other.is_superuser
