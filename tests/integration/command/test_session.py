"""What a person does on the administration page, as a session: in English and in French; completion."""

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from support.french import FRENCH as READS_FRENCH
from support.harness import BUILD, REPO, wait_until

COMPLETION = REPO / "daemon" / "retentionctl.bash"

ENGLISH = {"env": {"LC_ALL": "C.UTF-8", "LANGUAGE": "en"}, "saved": r"action (\d+) saved\nit would change (\d+) requests; "
           r"retentionctl validate \1 runs it\n", "row_saved": "saved", "validated": "action {} validated: the daemon runs it\n",
           "done": "done", "heading": ("id", "type", "date", "status"), "type": "anonymize_requests",
           "export": "export", "deleted": "the archive of action {} is deleted\nits files are removed\n", "by": "archive_deleted_by",
           "early": "action {} is done: only a saved action can be validated",
           "month": "the interval from 2025-01-01 to 2025-02-01 is longer than one month\nhint: Both days count: from "
                    "2025-01-01, it can end on 2025-01-31 at the latest."}
FRENCH = {"env": READS_FRENCH,
          "saved": r"action (\d+) enregistrée\nelle modifierait (\d+) demandes ; retentionctl validate \1 la lance\n",
          "row_saved": "enregistrée", "validated": "action {} validée : le démon la lance\n", "done": "terminée",
          "heading": ("n°", "type", "date", "statut"), "type": "anonymisation de demandes", "export": "export",
          "deleted": "l'archive de l'action {} est supprimée\nses fichiers sont supprimés\n", "by": "archive supprimée par",
          "early": "l'action {} est terminée : seule une action enregistrée peut être validée",
          "month": "l'intervalle du 2025-01-01 au 2025-02-01 dépasse un mois\nconseil : Les deux jours comptent : depuis le "
                   "2025-01-01, il peut finir au plus tard le 2025-01-31."}


@pytest.mark.parametrize("words", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_the_page(daemon, words):
    """Save a month, see it saved, validate, see it done; list the archives, delete one, see who and when."""
    d = daemon(contacts=200)
    d.start()
    d.wait_for_log("ready: ")

    def ctl(*args, **kwargs):
        return d.ctl(*args, env=words["env"], **kwargs)

    job, due = re.fullmatch(words["saved"], ctl("save", "anonymize_requests", "--from", "2024-03-01", "--to", "2024-03-31").stdout).groups()
    assert int(due) > 0
    row = ctl("journal").stdout.splitlines()[1]
    assert row.split()[0] == job and words["row_saved"] in row and words["type"] in row and "2024-03-01..2024-03-31" in row
    assert ctl("validate", job).stdout == words["validated"].format(job)
    shown = ctl("show", job, "--follow").stdout
    assert words["done"] in shown
    exported = re.search(r"\d+", ctl("save", "export", "--from", "2024-01-01", "--to", "2024-01-31").stdout).group()
    ctl("validate", exported)
    assert ctl("show", exported, "--follow").returncode == 0
    lines = ctl("archive", "list").stdout.splitlines()
    assert tuple(lines[0].split()[:4]) == words["heading"]
    row = next(line for line in lines if line.split()[0] == exported)
    assert words["export"] in row and words["done"] in row and str(d.archives) in row
    assert ctl("archive", "verify", exported).returncode == 0
    assert ctl("archive", "delete", exported).stdout == words["deleted"].format(exported)
    row = next(line for line in ctl("archive", "list").stdout.splitlines() if line.split()[0] == exported)
    assert str(d.archives) not in row
    shown = ctl("show", exported).stdout
    assert words["by"] in shown and d.pg.SUPERUSER in shown
    assert not Path(d.jobs(f"id = {exported}")[0]["archive_path"]).exists()
    # Refusals, of the program and of the server, with what to do.
    done = ctl("validate", job, check=False)
    assert done.returncode == 1 and done.stderr == f"retentionctl: {words['early'].format(job)}\n"
    done = ctl("save", "export", "--from", "2025-01-01", "--to", "2025-02-01", check=False)
    assert done.stderr == f"retentionctl: {words['month']}\n"
    assert d.stop() == 0


def test_json_is_never_translated(daemon):
    d = daemon(contacts=20)
    d.ctl("save", "export", "--from", "2025-01-01", "--to", "2025-01-31", env=FRENCH["env"])
    assert d.ctl("journal", "--json", env=FRENCH["env"]).stdout == d.ctl("journal", "--json").stdout


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8", "LANGUAGE": "tlh"}, {"LC_ALL": "xx_YY"}])
def test_other_languages_get_english(env):
    done = subprocess.run([BUILD / "retentionctl", "--help"], env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0 and "cancel an action that has not begun" in done.stdout


# --- Completion -------------------------------------------------------------------------------


def complete(*words, d=None, script=COMPLETION):
    """What bash offers for the last of words."""
    program = ["retentionctl", *(["-c", str(d.path)] if d else []), *words]
    text = f"""source '{script}'
        COMP_WORDS=({' '.join(f"'{w}'" for w in program)}); COMP_CWORD={len(program) - 1}
        _retentionctl; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{BUILD.resolve()}:{os.environ['PATH']}"})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return set(done.stdout.split())


def test_completion_of_words():
    assert complete("ar") == {"archive"} and complete("archive", "") >= {"list", "verify", "restore", "delete"}
    assert complete("save", "an") == {"anonymize_contacts", "anonymize_requests"}
    assert complete("save", "export", "--archive", "f") == {"full"}
    assert complete("archive", "restore", "3", "--d") == {"--dry-run", "--disable-triggers"}
    assert complete("model", "draft", "--contact", "c", "--d") == {"--date"} and "--json" in complete("model", "check", "-")
    assert complete("hold", "add", "7", "--r") == {"--reason", "--review"}


def test_completion_of_names(tmp_path):
    """-c is completed by the names of the instances, without the page's file, and by files."""
    for name in ("acme.conf", "beta.conf", "retentiond.conf", "web.conf", "web@acme.conf", "notes.txt"):
        (tmp_path / name).touch()
    script = tmp_path / "completion"
    script.write_text(COMPLETION.read_text().replace("/etc/retentiond", str(tmp_path)))
    assert complete("-c", "ac", script=script) == {"acme"}
    assert complete("-c", "", script=script) >= {"acme", "beta", "retentiond"}
    assert not complete("-c", "", script=script) & {"web", "web@acme", "notes"}
    assert complete("-c", f"{tmp_path}/ac", script=script) == {f"{tmp_path}/acme.conf"}


def test_every_command_is_completed():
    said = subprocess.run([BUILD / "retentionctl", "--help"], capture_output=True, text=True).stdout
    for command in re.findall(r"^  ([a-z]+(?: [a-z]+(?=[ \n]))?)", said, re.M):
        first, _, second = command.partition(" ")
        assert first in complete("")
        assert not second or second in complete(first, ""), command


def test_completion_asks_the_database(daemon):
    d = daemon(contacts=20, policies=[{"name": "old-ones", "action": "export", "depth": "1 year", "schedule": "monthly"}])
    d.once()
    d.pg.sql(d.db, "SELECT retention.save_action('export', '2025-01-01', '2025-01-31')")
    assert complete("preview", "old", d=d) == {"old-ones"}
    assert complete("validate", "", d=d) == {"2", "--help"}
    assert complete("archive", "verify", "", d=d) == {"1", "--help"}
    assert wait_until(lambda: complete("show", "", d=d)) == {"1", "2", "--help"}


def test_a_bar_at_a_terminal(daemon):
    """--once before a person: a bar below the log, which each event takes the place of; a file gets events only."""
    d = daemon(contacts=300, policies=[{"name": "old", "action": "delete_contacts", "depth": "30 months",
                                        "schedule": "monthly"}], limits={"batch_rows": 20, "rows_per_second": 4000})
    ours, theirs = pty.openpty()
    with subprocess.Popen(d._command("retentiond", "--once"), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                          env=d._environment(None, None), start_new_session=True) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 65536):
                seen += piece
        except OSError:  # the other end was closed
            pass
    os.close(ours)
    assert process.returncode == 0
    text = seen.decode()
    bars = re.findall(r"\r\x1b\[K\[#* *\] +\d+ %  old: \d+ of \d+[^\r\n]*", text)
    assert bars, text
    assert all(len(bar) < 85 for bar in bars)
    events = re.sub(r"\r\x1b\[K(\[[^\r\n]*)?", "", text).replace("\r\n", "\n").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+ retention\S*\[\d+\]: ", line) for line in events), events
    assert any("job 1 (old) is done" in line for line in events)
    assert pty and "\x1b" not in d.once().stderr
