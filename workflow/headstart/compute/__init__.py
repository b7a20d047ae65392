"""A job's request for devices enters; the devices it holds, and its fellow processes, leave."""
