"""`python -m backout` is the console script."""

from backout.tasks import main

main()
