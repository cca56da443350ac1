"""The daemon: one loop that feeds the core with bytes and time, and does what it asks for."""

import asyncio
import json
import logging
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from node.events import FetchFile, Note, Persist, Publish, SendDatagram, SourceChanged
from node.peers.joining import BROKER as BROKER_PATH
from node.shell.broker.ahead import keeper
from node.shell.broker.mqtt import MqttLink
from node.shell.card.amplifier_switch import AmplifierSwitch
from node.shell.card.gaps import Gaps
from node.shell.card.sinks import Sink
from node.shell.card.sound_watch import SoundWatch
from node.shell.clocks import now_ns, utc_ns
from node.shell.faults import ShellError
from node.shell.health import NO_CARD, TEXT_MAX, Health
from node.shell.hearing.listening import Listening
from node.shell.loop.core_sound import CoreLock, CoreSound
from node.shell.loop.looks import NEVER_NS, Ended, Looks, soon
from node.shell.loop.status_lines import StatusLines
from node.shell.loop.told_health import note_parts, shell_status, signs_of, tell_changes
from node.shell.loop.told_time import ToldTime
from node.shell.network.udp import UdpSocket
from node.shell.pace import Pace
from node.shell.page import Page
from node.shell.renewal import Renewal
from node.shell.store.store import Store
from node.shell.systemd import notify, watchdog_ns
from node.shell.vitals import Vitals
from node.units import NS_PER_S

if TYPE_CHECKING:  # its import takes what joins, which a node without does not need
    from node.governed import GovernedSpeaker
    from node.joined import Speaker

LOG: Final = logging.getLogger("loalang")


class Service:
    """Join the core to socket, sink, store and broker until somebody ends it.

    Parameters
    ----------
    speaker : Speaker
        The core.
    udp, sink : UdpSocket, Sink
        Where packets come from, and where sound goes.
    store : Store
        What survives a power cut.
    mqtt : MqttLink or None
        The broker.
    status_every_ns : int or None
        Print the status as one line of JSON on standard output so often.
    tell_time : callable or None
        Told (utc_ns, now_ns) where the core keeps a calendar; returns when next, None: in a second.
    fetch, governed : callable or None, GovernedSpeaker or None
        Asked for a file that a warning names, returns at once; the core that is under orders.
    standing : mapping of str to str or None
        Faults that were found before the start, by name: sounds that are missing.
    renewed : callable or None
        Returns whether something waits that a fresh start takes; nothing may sound then.
    reread : callable or None
        Asked on SIGHUP: reads the configuration again, and raises what is wrong with it.
    page, switch : (str, int) or None, str or None
        Address and port of a page that shows the status; file that un-mutes the amplifier.
    listening : Listening or None
        What listens to the horn; it has begun.

    Notes
    -----
    ::

        UDP ──┐ loop thread             one lock             audio thread
        MQTT ─┼► receive_*, deadlines ────► core ◄──── render ◄── card's callback, or paced sink
        time ─┘ events out
    """

    def __init__(
        self,
        speaker: "Speaker",
        *,
        udp: UdpSocket,
        sink: Sink,
        store: Store,
        mqtt: MqttLink | None = None,
        status_every_ns: int | None = None,
        tell_time: Callable[[int, int], int | None] | None = None,
        fetch: Callable[[FetchFile], None] | None = None,
        standing: Mapping[str, str] | None = None,
        renewed: Callable[[], bool] | None = None,
        reread: Callable[[], object] | None = None,
        page: tuple[str, int] | None = None,
        governed: "GovernedSpeaker | None" = None,
        switch: str | None = None,
        listening: Listening | None = None,
    ) -> None:
        self._speaker = speaker
        self._udp = udp
        self._sink = sink
        self._amplifier, self._listening = AmplifierSwitch(switch), listening
        self._store = store
        self._mqtt, self._status_every_ns = mqtt, status_every_ns
        self._fetch, self._governed = fetch, governed
        self._lock = CoreLock()
        self._time = ToldTime(tell_time, self._lock)
        self._watch = SoundWatch(sink, now_ns(), Gaps(sink, governed, self._lock))
        self._sounds = True
        """What the core was told last: that the sink asks for sound."""
        self._wake: asyncio.TimerHandle | None = None
        self._crash: BaseException | None = None
        self._fault: ShellError | None = None
        self._health = Health()
        self._standing = dict(standing or {})
        self._renewal = Renewal(renewed, reread)
        self._pace = Pace(now_ns())
        self._sound = CoreSound(speaker, self._lock, self._pace, self._watch)
        self._lines = StatusLines()
        self._looks = Looks(self._pace, (sink, store, udp), self._note_change)
        self._page = None if page is None else Page(*page, self._locked_status)
        session = 0 if mqtt is None else mqtt.session
        self._vitals = Vitals(self._health, session=session, begin_ns=now_ns())

    @property
    def begins_anew(self) -> bool:
        """Whether the configuration was read again, and a new service is to take it."""
        return self._renewal.begins_anew

    async def run(self, duration_ns: int | None) -> None:
        """Serve until SIGTERM, SIGINT or the end of `duration_ns`; then close the sink.

        Raises
        ------
        ShellError
            If the sink failed: the card was unplugged, the disk is full.
        """
        loop = asyncio.get_running_loop()
        ended = Ended(self._looks.stirred)
        self._listen(loop, ended)
        link = self._start_link(ended)
        begin_ns = now_ns()
        try:
            if self._page is not None:
                await self._page.start()
            self._sink.start(self._sound.render)
            await self._serve(ended, None if duration_ns is None else begin_ns + duration_ns)
        except ShellError as fault:
            # Said before anything is closed: what hangs then must not keep the reason.
            LOG.error("%s", fault)
            notify(f"STATUS={fault}")
            self._fault = fault
            if self._mqtt is not None:
                self._mqtt.last_state = ("lost", (str(fault),))
        except Exception as fault:  # a mistake of ours: the last state says so, then it is raised
            self._note_crash({"exception": fault}, ended)
        finally:
            notify("STOPPING=1" if not self.begins_anew else "STATUS=takes the new configuration")
            if self._page is not None:
                self._page.close()
            for descriptor in self._udp.filenos():
                loop.remove_reader(descriptor)
            with self._lock:
                self._speaker.leave()
            self._do_events()
            if link is not None:
                link.cancel()
                await asyncio.gather(link, return_exceptions=True)
            self._close_sink()
            self._do_events()
            self._amplifier.turn(on=False)
            self._print_status()
            self._lines.close()
        if self._fault is not None:
            raise self._fault
        if self._crash is not None:
            raise self._crash

    def _listen(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        """Hear the network, the supervisor and our own mistakes."""
        loop.set_exception_handler(lambda _, context: self._note_crash(context, ended))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        for descriptor in self._udp.filenos():
            loop.add_reader(descriptor, self._take_datagrams)

    def _start_link(self, ended: asyncio.Event) -> "asyncio.Task[None] | None":
        """Join store and broker: what waits for the disk leaves when it is there."""
        loop, link = asyncio.get_running_loop(), self._mqtt
        if link is None:
            return None
        self._store.on_durable = lambda: soon(loop, link.wake)
        link.durable = lambda: self._store.durable
        link.keep = self._store.keep_soon
        if self._governed is not None:
            link.ahead.keep = keeper(self._governed.foresee, self._store, self._lock)
        link.set_state(self._health.word())
        link.take_datagram = self._take_by_broker
        link.told = self._note_link
        link.changed = self._looks.look_soon
        task = loop.create_task(link.run(self._take_message))
        task.add_done_callback(lambda one: self._note_end(one, ended))
        return task

    async def _serve(self, ended: asyncio.Event, end_ns: int | None) -> None:
        """Tick until the end: audio progress, faults of the sink, status, watchdog."""
        watched = watchdog_ns()
        self._looks.begin(watched=watched is not None)
        every_ns = self._status_every_ns
        next_status_ns = NEVER_NS if every_ns is None else now_ns() + every_ns
        while not ended.is_set():
            now = now_ns()
            if end_ns is not None and now >= end_ns:
                return
            if self._follow_sink(now) and watched is not None:
                notify("WATCHDOG=1")
            self._udp.handle_deadline(now)
            self._time.look(now)
            self._run_core()
            if every_ns is not None and now >= next_status_ns:
                next_status_ns += every_ns
                self._print_status()
            self._follow_health(now, ended)
            if self._mqtt is not None:
                self._mqtt.offer_status(self._locked_status, now)
            may_rest = self._sounds and not self._health.starting
            wish_ns = min(self._wish_ns(), next_status_ns)
            await self._looks.sleep(wish_ns, now, may_rest=may_rest, end_ns=end_ns)

    def _wish_ns(self) -> int:
        """Return when something here wants to be looked at that does not stir by itself."""
        link, tells = self._mqtt, self._mqtt is not None and self._mqtt.connected
        asked_ns = NEVER_NS if link is None else link.next_status_ns()
        return min(self._time.next_ns, self._vitals.next_ns(tells=tells), asked_ns)

    def _note_change(self) -> None:
        """Look soon, and let the core have the time: it was stepped, or what sounds has changed."""
        self._time.renew()
        self._looks.look_soon()

    def _note_link(self, name: str, text: str | None) -> None:
        """Note a fault of the link, and look at it soon."""
        self._health.note(name, text, now_ns())
        self._looks.look_soon()

    def _close_sink(self) -> None:
        """Close it; what had stopped the sound before goes before what its closing says."""
        try:
            self._sink.close()
        except ShellError as fault:
            LOG.error("%s", fault)
            if self._fault is None:
                self._fault = fault
            self._fault.hangs |= fault.hangs

    def _follow_sink(self, now: int) -> bool:
        """Tell the core, and people, whether there is a card; return whether the sound goes on."""
        goes_on = self._watch.look(now)
        sounds = self._watch.missing is None
        if sounds != self._sounds:
            self._sounds = sounds
            with self._lock:
                self._speaker.receive_sink(now, sounds=sounds)
        if self._sink.opening():
            return goes_on
        why = self._watch.missing
        self._health.note(NO_CARD, None if why is None else why.removeprefix(f"{NO_CARD}: "), now)
        if self._health.starting:
            self._health.starting = False
            notify("READY=1")
            LOG.info("ready")
        return goes_on

    def _take_datagrams(self) -> None:
        self._pace.wake(now_ns())
        for data, source, arrival_ns in self._udp.received():
            with self._lock:
                self._speaker.receive_datagram(data, source, arrival_ns)
        self._run_core()

    def _take_by_broker(self, data: bytes) -> None:
        """Give the core a datagram that came by the MQTT session."""
        self._pace.wake(now_ns())
        with self._lock:
            self._speaker.receive_datagram(data, BROKER_PATH, now_ns())
        self._run_core()

    def _take_message(self, topic: str, payload: bytes) -> int:
        """Give an order to the core; return what must be on the disk before it is acknowledged."""
        self._pace.wake(now_ns())
        with self._lock:
            self._speaker.receive_message(topic, payload, now_ns())
        self._note_change()  # an order may know better what time it is
        self._run_core()
        return self._store.number

    def _follow_health(self, now: int, ended: asyncio.Event) -> None:
        """Look for faults; tell what came and went."""
        note_parts(self._health, self._amplifier, self._store, self._standing, now)
        if self._listening is not None:
            underruns: int = getattr(self._sink, "underruns", 0)
            self._listening.follow(self._lock, self._health, underruns, now)
        if self._vitals.looks(now):
            with self._lock:
                signs = signs_of(self._speaker, self._sink, self._mqtt)
            self._vitals.look(signs, now)
            if self._renewal.is_due(signs, self._health, now):
                ended.set()
        tell_changes(self._health, self._mqtt)
        if self._mqtt is not None:
            self._mqtt.set_state(self._health.word(), self._health.why())
            if self._mqtt.connected and self._vitals.due(now):
                told = self._vitals.body(self._locked_status(), utc_ns() // NS_PER_S, now)
                self._mqtt.tell(Publish("health", told))

    def _reload(self) -> None:
        """Read the configuration again."""
        self._renewal.read_again(self._health, now_ns())

    def _run_core(self) -> None:
        """Run what is due, do the events, and arm the timer for what is due next."""
        with self._lock:
            due_ns = self._speaker.next_deadline_ns()
        if due_ns is not None and due_ns <= now_ns():
            self._time.renew()  # what is due by the civil clock is done by what that shows now
            self._time.look(now_ns())
            with self._lock:
                self._speaker.handle_deadline(now_ns())
                due_ns = self._speaker.next_deadline_ns()
        self._do_events()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        # What is due still after it was handled waits for the next tick: never a busy loop.
        if due_ns is not None and due_ns > now_ns():
            # The loop's own clock is CLOCK_MONOTONIC too.
            self._wake = asyncio.get_running_loop().call_at(due_ns / NS_PER_S, self._run_core)
        elif due_ns is not None:
            self._looks.look_soon()

    def _do_events(self) -> None:
        """Do what the core asked for, in its order. What must be kept is kept together, all or
        nothing, and with it what is to be told of it, which leaves when that is on the disk.
        """
        changes: dict[str, bytes] = {}
        while True:
            with self._lock:
                event = self._speaker.next_event()
            if event is None:
                break
            if isinstance(event, SendDatagram):
                if event.destination == BROKER_PATH:
                    if self._mqtt is not None:
                        self._mqtt.tell(Publish("path", event.data))
                else:
                    self._udp.send(event.data, event.destination)
            elif isinstance(event, Persist):
                changes[event.key] = event.value
            elif isinstance(event, Publish):
                if self._mqtt is not None:
                    changes |= self._mqtt.publish(event, self._store.number + 1)
            elif isinstance(event, FetchFile):
                if self._fetch is not None:
                    self._fetch(event)
            elif isinstance(event, SourceChanged):
                LOG.info("source %s", "none" if event.ssrc is None else f"{event.ssrc:08x}")
            elif isinstance(event, Note):
                LOG.info("%s", event.text)
            else:
                self._amplifier.turn(on=event.on)
        if changes:
            self._store.keep_soon(changes)

    def _locked_status(self) -> dict[str, object]:
        with self._lock:
            status = self._speaker.status()
        parts = (self._health, self._watch, self._udp, self._sink)
        told = shell_status(*parts, link=self._mqtt, listening=self._listening)
        return status | {"shell": told}

    def _print_status(self) -> None:
        if self._status_every_ns is not None:
            self._lines.tell(json.dumps({"monotonic_ns": now_ns()} | self._locked_status()))

    def _note_end(self, task: "asyncio.Task[None]", ended: asyncio.Event) -> None:
        fault = None if task.cancelled() else task.exception()
        self._note_crash({"exception": fault}, ended)

    def _note_crash(self, context: dict[str, object], ended: asyncio.Event) -> None:
        """Keep what a callback of the loop raised: asyncio itself would log it and go on."""
        fault = context.get("exception")
        if isinstance(fault, BaseException) and self._crash is None:
            self._crash = fault
            if self._mqtt is not None:
                text = f"{type(fault).__name__}: {fault}"
                self._mqtt.last_state = ("lost", (text[:TEXT_MAX],))
            ended.set()
