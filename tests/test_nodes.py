"""Nodes that share a database: what their heartbeats say, and who may join."""

import time
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.utils import timezone

from config.nodes import Heartbeat, MayNotJoin, forget_dead_nodes, own_id, require_may_join
from sessions_app.models import Node
from tests.fleet import KEY, OTHER_KEY, heard_of


@pytest.fixture
def folder(tmp_path, settings):
    settings.DATA_DIR = tmp_path
    return tmp_path


class TestTheId:
    def test_is_made_once_for_a_data_folder_and_is_private(self, folder):
        first = own_id()

        assert own_id() == first
        assert (folder / "node_id").read_text() == str(first)
        assert (folder / "node_id").stat().st_mode & 0o077 == 0

    def test_that_is_damaged_is_named_with_its_remedy(self, folder):
        (folder / "node_id").write_text("cut")

        with pytest.raises(ImproperlyConfigured, match=r"node_id is empty or cut short. Delete it"):
            own_id()


@pytest.mark.django_db
class TestTheHeartbeat:
    def test_is_by_the_databases_clock_and_moves(self, folder):
        worker = Heartbeat()
        worker.beat()
        first = Node.objects.get()
        time.sleep(0.01)
        worker.beat()
        second = Node.objects.get()

        assert first.pk == second.pk == own_id()
        assert first.started_at == first.beat_at == second.started_at < second.beat_at
        assert abs(second.beat_at - timezone.now()) < timedelta(seconds=5)
        assert Node.objects.alive().count() == 1

    def test_ends_with_the_worker_and_comes_back_with_another_worker_of_the_folder(self, folder):
        one, other = Heartbeat(), Heartbeat()
        one.beat()
        other.beat()
        one.end()
        assert not Node.objects.exists()

        other.beat()
        assert Node.objects.get().pk == own_id()

    def test_of_a_node_that_died_counts_for_a_minute_and_is_kept_for_a_day(self, folder):
        for name, minutes in ("alive", 0.9), ("dead", 1.1), ("gone", 60 * 24 + 1):
            heard_of(name, minutes=minutes)

        assert [node.hostname for node in Node.objects.alive()] == ["alive"]
        forget_dead_nodes()
        assert {node.hostname for node in Node.objects.all()} == {"alive", "dead"}


@pytest.mark.django_db
@pytest.mark.only("postgresql")
class TestWhoMayJoin:
    @pytest.fixture(autouse=True)
    def _with_keys_of_the_environment(self, folder, settings):
        settings.IS_SECRET_KEY_GIVEN = True
        settings.ENCRYPTION_KEYS = [KEY, OTHER_KEY]

    def test_a_node_with_the_others_keys(self):
        heard_of("web-1", encryption_key=KEY, seconds=3)
        heard_of("web-2", encryption_key=OTHER_KEY, seconds=3)
        heard_of("web-3", seconds=3)

        require_may_join()

    @pytest.mark.parametrize("name, file", [("SECRET_KEY", "secret_key"), ("ENCRYPTION_KEYS", "encryption_key")])
    def test_no_node_that_made_a_key_for_itself(self, settings, name, file):
        settings.IS_SECRET_KEY_GIVEN = name != "SECRET_KEY"
        settings.ENCRYPTION_KEYS = [KEY] if name != "ENCRYPTION_KEYS" else []
        require_may_join()
        heard_of("web-1", minutes=1.1)
        require_may_join()
        heard_of("web-1", seconds=50)

        with pytest.raises(MayNotJoin) as refused:
            require_may_join()
        said = str(refused.value)
        assert said.startswith("The node web-1 (")
        assert f"{name} does not come from the environment" in said
        assert f"set {name} on all of them to what the first one has" in said
        assert f"`{file}` in its data folder" in said

    def test_no_node_with_another_secret_key(self):
        heard_of("web-1", seconds=3)
        heard_of("web-2", secret_key="0" * 16, seconds=3)

        with pytest.raises(MayNotJoin, match=r"web-2 .* Its SECRET_KEY is another one.* Set SECRET_KEY on every node"):
            require_may_join()

    def test_no_node_that_lacks_the_key_another_one_encrypts_with(self, settings):
        settings.ENCRYPTION_KEYS = [KEY]
        heard_of("web-1", encryption_key=OTHER_KEY, seconds=3)

        with pytest.raises(MayNotJoin, match="ENCRYPTION_KEYS lacks the key that it encrypts with"):
            require_may_join()

    def test_a_node_that_comes_again_whatever_its_last_life_had(self, settings):
        settings.IS_SECRET_KEY_GIVEN = False
        killed = Heartbeat()
        killed.beat()
        settings.SECRET_KEY = "another one " * 5

        require_may_join()
        Heartbeat().beat()

    def test_of_two_that_start_at_once_the_earlier_one_stays(self, settings, folder):
        settings.IS_SECRET_KEY_GIVEN = False
        earlier = Heartbeat()
        earlier.beat()
        settings.DATA_DIR = folder / "other"
        later = Heartbeat()

        with pytest.raises(MayNotJoin):
            later.beat()
        assert isinstance(later.refusal, MayNotJoin)
        assert Node.objects.count() == 1
        settings.DATA_DIR = folder
        earlier.beat()

    def test_the_worker_says_why_it_does_not_start(self, settings):
        settings.IS_SECRET_KEY_GIVEN = False
        heard_of("web-1", seconds=3)

        with pytest.raises(CommandError, match="SECRET_KEY does not come from the environment"):
            call_command("worker")
