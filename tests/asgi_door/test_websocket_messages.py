"""What an application gets of an open websocket, and what it causes: each message once, and no look after its end."""

import asyncio

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.asgi_door.rooms import Place, cookie_of
from tests.asgi_door.test_ending_websockets import ACCEPTED, guarded_by, until
from tests.asgi_door.test_open_websockets_on_servers import SlowStore, Wire, running
from tests.tools.site import FROM_HERE, LOGOUT


class CountingStore(SlowStore):
    looks = 0

    def load(self, handle, *, now):
        self.looks += 1
        return super().load(handle, now=now)


def test_a_message_whose_reader_gave_up_comes_once_also_where_the_timer_has_looked_meanwhile(fx):
    heard: list[str] = []

    async def impatient(socket: WebSocket) -> None:
        await socket.accept()
        reader = asyncio.ensure_future(socket.receive_text())
        await until(lambda: store.is_looking)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        place.clock.advance(61)
        store.may_go_on.set()
        looks = store.looks
        await until(lambda: store.looks > looks)
        heard.extend([await socket.receive_text(), await socket.receive_text()])

    store = CountingStore()
    place = Place(fx, guarded_by(impatient), session_store=store)
    wire = Wire(cookie_of(place.visitor()))

    async def story() -> None:
        async with running(place, wire) as task:
            store.is_slow = True
            place.clock.advance(61)
            for text in ("the first", "the second"):
                wire.inbox.put_nowait({"type": "websocket.receive", "text": text})
            await asyncio.wait_for(task, 10)

    asyncio.run(story())
    assert heard == ["the first", "the second"]


@pytest.mark.parametrize("leaving", ["the visitor", "the application"])
def test_nobody_looks_after_a_socket_that_has_ended_while_its_application_goes_on(fx, leaving):
    """The other socket shows when the timers have looked."""
    over = asyncio.Event()

    async def lingering(socket: WebSocket) -> None:
        await socket.accept()
        if "leaves" not in socket.query_params:
            await socket.receive_text()
        elif leaving == "the visitor":
            with pytest.raises(WebSocketDisconnect):
                await socket.receive_text()
        else:
            await socket.send_text("bye")
            await socket.close()
        await over.wait()

    store = CountingStore()
    place = Place(fx, guarded_by(lingering), session_store=store)
    client = place.visitor()
    cookie = cookie_of(client)
    ends, stays = Wire(cookie), Wire(cookie)
    ends.scope["query_string"] = b"leaves=1"

    async def story() -> int:
        async with running(place, ends), running(place, stays):
            ends.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001, "reason": ""})
            await asyncio.sleep(0.01)
            client.post(LOGOUT, headers=FROM_HERE)
            looks = store.looks
            place.clock.advance(61)
            await until(lambda: len(stays.sent) == 2)
            over.set()
        return store.looks - looks

    assert asyncio.run(story()) == 1
    own = [{"type": "websocket.send", "text": "bye"}, {"type": "websocket.close", "code": 1000, "reason": ""}]
    assert ends.sent == [ACCEPTED, *(own if leaving == "the application" else [])]
