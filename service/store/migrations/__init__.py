"""The history of the tables: one file a step in ``versions/``, applied in order by :func:`upgrade`."""

from service.store.migrations.apply import HEAD_REVISION, current_revision, downgrade, upgrade

__all__ = ["HEAD_REVISION", "current_revision", "downgrade", "upgrade"]
