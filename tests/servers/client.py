#!/usr/bin/env python3
"""A person's calendar client, for the tests: the Python `caldav` package, which shares no code with meetbridge.

    client.py --url URL --username NAME COMMAND ARGUMENT...
    client.py --url URL --username NAME session

The password is the environment variable CALDAV_PASSWORD. A command prints one line of JSON: what it found, or
`{"error": ...}`, upon which the exit status is 1. `session` reads commands from standard input, one JSON array of
words a line, and answers each with such a line, until the input ends.

An edit is made as clients make it: read, change, write on condition that nobody else wrote in between; else once more.
"""

import argparse
import json
import logging
import os
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import caldav
import icalendar
from caldav.lib import error

# How often an edit is begun anew because somebody else wrote in between.
TRIES = 10


def moment(text, zone=None):
    """`2026-11-24T10:00:00Z`, or without the Z in `zone` (floating where there is none)."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if at.tzinfo is None:
        return at.replace(tzinfo=ZoneInfo(zone)) if zone else at
    return at.astimezone(ZoneInfo("UTC"))


def shown(event):
    """An event as it is stored: its bytes as text, and every property of every VEVENT."""
    calendar = icalendar.Calendar.from_ical(event.data)
    found = []
    for component in calendar.walk("VEVENT"):
        lines = component.content_lines()
        found.append({"properties": [line for line in lines if line]})
    return {"url": str(event.url), "etag": event.etag, "ics": event.data, "events": found}


def outrun(fault):
    """Whether a write failed because somebody else wrote: Xandikos says 423 or 500 to those who come at once."""
    mismatch = isinstance(fault, (error.ETagMismatchError, error.ScheduleTagMismatchError))
    return mismatch or fault.status in (412, 423, 500)


def edited(calendar, uid, change):
    """Changes the master of an event and stores it."""
    for _ in range(TRIES):
        event = calendar.get_event_by_uid(uid)
        event.load()
        with event.edit_icalendar_component() as component:
            change(component)
        try:
            event.save()
        except error.DAVError as fault:
            if not outrun(fault):
                raise
            continue
        return {"url": str(event.url)}
    raise SystemExit(f"{uid}: somebody else writes it all the time")


def put(component, name, value):
    """Sets a property, in place of what it was."""
    component.pop(name, None)
    component.add(name, value)


def create(calendar, a):
    start = moment(a.start, a.zone)
    event = icalendar.Event()
    event.add("UID", a.uid)
    event.add("DTSTAMP", datetime.now(ZoneInfo("UTC")))
    event.add("DTSTART", start)
    event.add("DTEND", start + timedelta(minutes=a.minutes))
    event.add("SUMMARY", a.summary)
    if a.description:
        event.add("DESCRIPTION", a.description)
    if a.rrule:
        event.add("RRULE", icalendar.vRecur.from_ical(a.rrule))
    if a.organizer:
        event.add("ORGANIZER", "mailto:" + a.organizer)
    for address in a.attendee or ():
        event.add("ATTENDEE", "mailto:" + address)
    whole = icalendar.Calendar()
    whole.add("VERSION", "2.0")
    whole.add("PRODID", "-//example//client//EN")
    whole.add_component(event)
    whole.add_missing_timezones()
    for _ in range(TRIES):
        try:
            return {"url": str(calendar.add_event(whole.to_ical()).url)}
        except error.DAVError as fault:
            if not outrun(fault):
                raise
    raise SystemExit(f"{a.uid}: somebody else writes all the time")


def retext(component, old, new):
    text = str(component.get("DESCRIPTION", ""))
    if old not in text:
        raise SystemExit("the description does not hold this text")
    put(component, "DESCRIPTION", text.replace(old, new, 1))


def move(component, text):
    start = component["DTSTART"].dt
    length = component.end - component.start
    begins = moment(text).astimezone(start.tzinfo)
    component.pop("DURATION", None)
    put(component, "DTSTART", begins)
    put(component, "DTEND", begins + length)


def override(calendar, a):
    """Makes one occurrence another: the way of this library, by the occurrence as the series has it."""
    at = moment(a.occurrence)
    for _ in range(TRIES):
        for event in calendar.search(
            event=True, uid=a.uid, start=at - timedelta(hours=1), end=at + timedelta(hours=1), expand=True
        ):
            component = event.icalendar_component
            if component["RECURRENCE-ID"].dt != at:
                continue
            if a.start:
                move(component, a.start)
            if a.summary:
                put(component, "SUMMARY", a.summary)
            try:
                event.save()
            except error.DAVError as fault:
                if not outrun(fault):
                    raise
                break
            return {"url": str(event.url)}
        else:
            raise SystemExit(f"{a.uid} has no occurrence then")
    raise SystemExit(f"{a.uid}: somebody else writes it all the time")


def removed(event):
    event.delete()
    return {}


def commands():
    parser = argparse.ArgumentParser(prog="client.py", exit_on_error=False)
    some = parser.add_subparsers(required=True)

    def command(name, run, *positional, calendar=True):
        one = some.add_parser(name, exit_on_error=False)
        for argument in (("calendar",) if calendar else ()) + positional:
            one.add_argument(argument)
        one.set_defaults(run=run)
        return one

    command(
        "make-calendar",
        lambda c, a: {"url": str(c.principal().make_calendar(name=a.name).url)},
        "name",
        calendar=False,
    )
    command(
        "calendars",
        lambda c, a: [{"url": str(k.url), "name": k.get_display_name()} for k in c.principal().get_calendars()],
        calendar=False,
    )
    one = command("create", lambda c, a: create(a.calendar, a), "uid")
    one.add_argument("--summary", default="Planning")
    one.add_argument("--start", required=True)
    one.add_argument("--zone")
    one.add_argument("--minutes", type=int, default=60)
    one.add_argument("--description")
    one.add_argument("--rrule")
    one.add_argument("--organizer")
    one.add_argument("--attendee", action="append")
    command("put", lambda c, a: {"url": str(a.calendar.add_event(open(a.ics).read()).url)}, "ics")
    command("retext", lambda c, a: edited(a.calendar, a.uid, lambda e: retext(e, a.old, a.new)), "uid", "old", "new")
    command("move", lambda c, a: edited(a.calendar, a.uid, lambda e: move(e, a.start)), "uid", "start")
    command("rename", lambda c, a: edited(a.calendar, a.uid, lambda e: put(e, "SUMMARY", a.to)), "uid", "to")
    command("cancel", lambda c, a: edited(a.calendar, a.uid, lambda e: put(e, "STATUS", "CANCELLED")), "uid")
    command(
        "repeat",
        lambda c, a: edited(a.calendar, a.uid, lambda e: put(e, "RRULE", icalendar.vRecur.from_ical(a.rrule))),
        "uid",
        "rrule",
    )
    one = command("override", lambda c, a: override(a.calendar, a), "uid", "occurrence")
    one.add_argument("--start")
    one.add_argument("--summary")
    command("delete", lambda c, a: removed(a.calendar.get_event_by_uid(a.uid)), "uid")
    command("show", lambda c, a: shown(a.calendar.get_event_by_uid(a.uid)), "uid")
    command("list", lambda c, a: sorted(str(e.icalendar_component["UID"]) for e in a.calendar.get_events()))
    return parser


def answer(client, parser, words):
    """What one command found."""
    try:
        given = parser.parse_args(words)
        if "calendar" in given:
            given.calendar = client.calendar(url=given.calendar)
        return given.run(client, given)
    except (error.DAVError, argparse.ArgumentError, SystemExit, OSError, LookupError, ValueError) as fault:
        return {"error": f"{type(fault).__name__}: {fault}"}


def main():
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--username", required=True)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    # Nothing but the given URL is asked for: no look-up of another host for it.
    client = caldav.DAVClient(
        url=given.url,
        username=given.username,
        password=os.environ["CALDAV_PASSWORD"],
        enable_rfc6764=False,
        require_tls=False,
    )
    known = commands()
    if given.words == ["session"]:
        for line in sys.stdin:
            print(json.dumps(answer(client, known, json.loads(line))), flush=True)
        return 0
    found = answer(client, known, given.words)
    print(json.dumps(found))
    return 1 if isinstance(found, dict) and "error" in found else 0


if __name__ == "__main__":
    sys.exit(main())
