"""Checks a live Tickwire server with clients that were written from PROTOCOL.md alone.

    python3 tests/foreign/run.py --ws ws://127.0.0.1:7070/ws --tcp 127.0.0.1:7071 [--only minimal|websockets|tcp|node]
    python3 tests/foreign/run.py --selftest PROTOCOL.md        needs no server

Prints a line for each scenario, then "N passed, N failed". The exit code is 0 if none failed.
"""
import argparse
import asyncio
import resource
import sys

import optional_scenarios
import scenarios
import selftest
from peers import Failure

SCENARIO_TIMEOUT = 60
PLAN = {  # what each kind of client plays
    "minimal": scenarios.MINIMAL,
    "websockets": scenarios.FULL + scenarios.WEBSOCKET + optional_scenarios.FULL,
    "tcp": scenarios.FULL + optional_scenarios.FULL,
    "node": scenarios.FULL + scenarios.WEBSOCKET + optional_scenarios.FULL,
    "mixed": scenarios.MIXED + optional_scenarios.MIXED,
}


async def run_one(scenario, kind, options) -> str:
    """Runs one scenario, and returns what it found wrong."""
    stage = scenarios.Stage(kind, options.ws, options.tcp, scenario.__name__)
    try:
        await asyncio.wait_for(scenario(stage), SCENARIO_TIMEOUT)
        stage.check_promises()
    except Failure as failure:
        return str(failure)
    except asyncio.TimeoutError:
        return f"not done after {SCENARIO_TIMEOUT} s"
    except Exception as error:  # a bug of the clients is a failure too, and must not hide the other scenarios
        return f"{type(error).__name__}: {error}"
    finally:
        await stage.stop()
    return ""


def plan(only):
    """Which scenario runs with which kind of client."""
    return [(scenario, kind) for kind, played in PLAN.items() if only in (None, kind) for scenario in played]


async def run_all(options) -> bool:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # one scenario brings a crowd
    passed = failed = 0
    for scenario, kind in plan(options.only):
        problem = await run_one(scenario, kind, options)
        title = scenario.__doc__.splitlines()[0]
        print(f"{'FAIL' if problem else 'ok':4}  {kind:10}  {title}", flush=True)
        if problem:
            print(f"      {problem}", flush=True)
        passed, failed = passed + (not problem), failed + bool(problem)
    print(f"{passed} passed, {failed} failed")
    return not failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ws", default="ws://127.0.0.1:7070/ws", help="WebSocket address")
    parser.add_argument("--tcp", default="127.0.0.1:7071", help="TCP address, host:port")
    parser.add_argument("--only", choices=PLAN, help="only this kind of client")
    parser.add_argument("--selftest", metavar="PROTOCOL.md", help="check the codecs against the sessions in hex")
    options = parser.parse_args()
    good = selftest.run(options.selftest) if options.selftest else asyncio.run(run_all(options))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
