"""What operators do by hand: requests to the provider that do not get on by themselves are tried again, or ended."""
