"""The topics of one worker, by the id of their collection."""

from collections.abc import Collection, Iterator

from geosvc.live.topic import Topic
from geosvc.model.snapshot import Snapshot


class TopicRegistry:
    """Knows which collections have subscribers; the reader of the change log wakes them."""

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}

    def __iter__(self) -> Iterator[Topic]:
        return iter(list(self._topics.values()))

    def has_subscribers(self) -> bool:
        """Whether somebody waits for changes."""
        return bool(self._topics)

    def wake(self, publications: Collection[int], since: Snapshot | None) -> None:
        """Reports to every topic that published tables have changed since a snapshot."""
        for topic in self:
            topic.wake(publications, since)

    def find(self, collection_id: str) -> Topic | None:
        """Returns the topic of a collection; None when nobody subscribes to it."""
        return self._topics.get(collection_id)

    def add(self, topic: Topic) -> None:
        """Adds the topic of a collection that has none."""
        self._topics[topic.collection_id] = topic

    def close(self, collection_id: str) -> None:
        """Ends the subscribers of a collection."""
        topic = self._topics.pop(collection_id, None)
        if topic is not None:
            topic.close()

    def close_all(self) -> None:
        """Ends all subscribers."""
        for collection_id in list(self._topics):
            self.close(collection_id)
