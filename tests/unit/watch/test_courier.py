"""Who sends the messages of runs where several could: one at a time, and the next when it ends."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from backout.adapters.storage.outbox import JournalOutbox
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal
from backout.adapters.vault import Vault
from backout.config import loading
from backout.model import Message
from backout.project.project import TABLES
from backout.watch.addresses import of_deploys
from backout.watch.postman import Courier
from support.journals import empty_ledger
from support.loopback import Answer, Asked, Web
from support.postgres import Postgres
from support.wait import eventually


def test_a_sender_that_is_frozen_in_the_middle_of_it_is_followed_by_another_of_its_working_copy(
    tmp_path: Path, postgres: Postgres
) -> None:
    thaws = threading.Event()

    def hear(_: Asked) -> Answer:
        if len(people.asked) == 1:
            thaws.wait(60)
        return Answer("ok")

    with Web(hear) as people:
        file = tmp_path / "inventories" / "prod.yaml"
        file.parent.mkdir()
        file.write_text(f"notify: {{deploys: ['{people.url.replace('http:', 'json:')}']}}\n")
        addresses = of_deploys()
        (place,) = addresses.learn(loading.load_target(file, TABLES, tmp_path), Vault({}))
        journals = [PostgresJournal(Address(empty_ledger(postgres)), str)]
        journals.append(PostgresJournal(journals[0].address, str))
        boxes = [JournalOutbox(each, addresses.targets, str) for each in journals]
        frozen, other = (Courier(each, addresses, tmp_path) for each in boxes)
        now = time.time()
        with boxes[0].write() as change:
            for key in ("begun", "deployed"):
                change.post(Message("prod", place, "note", key, key, "body", now))
        sending = threading.Thread(target=frozen.turn)
        sending.start()
        eventually(lambda: people.asked)
        other.turn()
        assert keys(people) == ["begun"]  # it is the first one's, for a while
        with boxes[1].write() as change:  # that while is over
            change.failed(boxes[1].waiting()[0].id, now, "")
        other.turn()
        thaws.set()
        sending.join()
        frozen.turn()
        assert keys(people) == ["begun", "begun", "deployed"]  # the same key, and in order
        assert boxes[1].waiting() == ()
        for each in journals:
            each.close()


def keys(people: Web) -> list[str]:
    return [json.loads(asked.body)["dedupe_key"] for asked in people.asked]
