"""Guards of the first connection to the state."""

from types import ModuleType
from typing import Any

from guards import guard, swap

CONTACT = "tests/engine/backend/test_postgres_first_contact.py"
SQL = "engine.backend.adapters.sqlalchemy"


@guard(f"{SQL}.postgres", f"{CONTACT}::test_a_first_connection_that_is_broken_off_is_made_again")
def a_first_connection_is_made_once(module: ModuleType) -> None:
    swap(module, "_may_pass_at_first", lambda _inner: lambda _text: False)


@guard(f"{SQL}.postgres", f"{CONTACT}::test_a_mistake_is_named_at_once")
def mistakes_in_the_address_are_waited_for(module: ModuleType) -> None:
    swap(module, "_may_pass_at_first", lambda _inner: lambda _text: True)


@guard(f"{SQL}.postgres", f"{CONTACT}::test_a_port_at_which_nothing_ever_listens_is_named_within_seconds")
def a_port_at_which_nothing_listens_is_waited_for_like_an_outage(module: ModuleType) -> None:
    swap(module.PostgresDatabase, "is_unheard", lambda _inner: lambda _self, _error: False)


@guard(f"{SQL}.transactions", f"{CONTACT}::test_connections_that_are_all_broken_off_are_named_after_one_wait")
def every_call_waits_for_a_state_that_was_given_up(module: ModuleType) -> None:
    def make(waiting: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            self._database.contact.was_given_up = False
            return waiting(self, *args)

        return call

    swap(module.Transactions, "_waiting", make)


@guard(f"{SQL}.backend", f"{CONTACT}::test_a_process_of_a_run_that_has_reached_the_state_waits_like_the_run")
def processes_of_a_run_do_not_know_that_it_has_reached_the_state(module: ModuleType) -> None:
    def make(init: Any) -> Any:
        def call(self: Any, *args: Any, was_reached: bool = False, **keys: Any) -> None:
            init(self, *args, **keys)

        return call

    swap(module.SQLAlchemyBackend, "__init__", make)
