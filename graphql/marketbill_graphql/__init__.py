"""The API edge: the GraphQL schema and the Starlette program that serves it, with provider webhooks and health."""
