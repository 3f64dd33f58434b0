"""`python -m workers.simulators.vantage --port N --vault FILE [--state FILE]`: serves until SIGTERM or SIGINT."""

from workers.simulators.launch import read_launch, run
from workers.simulators.vantage.app import build_app


def main() -> None:
    launch = read_launch("vantage")
    run(lambda: build_app(vault=launch.vault, state=launch.state)[0], host=launch.host, port=launch.port)


if __name__ == "__main__":
    main()
