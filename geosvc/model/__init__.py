"""What geosvc talks about: collections, boxes, reference systems, media types. No I/O."""
