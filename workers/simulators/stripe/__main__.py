"""`python -m workers.simulators.stripe --port N --vault FILE [--state FILE]`: serves until SIGTERM or SIGINT."""

from workers.simulators.launch import read_launch, run
from workers.simulators.stripe.app import build


def main() -> None:
    launch = read_launch("stripe")
    run(lambda: build(vault=launch.vault, state=launch.state), host=launch.host, port=launch.port)


if __name__ == "__main__":
    main()
