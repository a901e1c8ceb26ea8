"""Kafka through FastStream and aiokafka: reading, publishing, topics, dead letters."""
