"""The thin orchestration: reads tables, calls the pure stages, commits what they return."""
