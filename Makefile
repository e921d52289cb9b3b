# Short names for those who have make; `python3 mb.py` needs nothing but Python.

.PHONY: up demo test check

up demo test:
	python3 mb.py $@

check:
	.ci/run
