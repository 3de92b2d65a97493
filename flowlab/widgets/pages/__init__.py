"""Pages that go on without a kernel and draw by themselves."""
