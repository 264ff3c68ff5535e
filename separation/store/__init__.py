"""File systems and object stores: whole objects, verified reads, retries; what may be logged."""
