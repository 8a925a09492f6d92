"""The file `.env`: nothing in it is passed over without a word, and no error repeats a line, which may be a secret."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env_file import lines_of_env_file

pytestmark = pytest.mark.pure


def test_settings_are_read_with_comments_and_blank_lines_and_from_any_editor(tmp_path):
    file = tmp_path / ".env"
    assert lines_of_env_file(file) == []
    file.write_bytes("\ufeffPORT=8001\r\n\r\n  # ours\r\nexport EMAIL_FROM='Ä <a@x.example>' \r\n".encode())
    assert lines_of_env_file(file) == ["PORT=8001", "export EMAIL_FROM='Ä <a@x.example>'"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PORT=1\nSECRET_KEY = s3cret\n", "line 2 is no setting"),
        (b"s3cret", "line 1 is no setting"),
        (b"SECRET_KEY=s3cret\xff", "not in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_repeated(tmp_path, content, words):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=words) as error:
        lines_of_env_file(tmp_path / ".env")
    assert "s3cret" not in str(error.value)


def test_a_file_that_this_account_may_not_read_is_no_file_that_is_missing(tmp_path):
    (tmp_path / ".env").mkdir()  # which root cannot read either
    with pytest.raises(ImproperlyConfigured, match="cannot be read by this account"):
        lines_of_env_file(tmp_path / ".env")
