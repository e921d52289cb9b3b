"""`marketbill fees`: the schedules that all fees come from, tried out and published."""
