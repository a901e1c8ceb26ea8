"""The six steps of a job with synchronous clients, as Celery and Temporal run them."""

import time
from collections.abc import Mapping
from typing import Any, Final

import boto3
import redis
import urllib3
from botocore.config import Config
from pymongo import MongoClient

from bench import samples

Document = dict[str, Any]
POLL_SECONDS: Final = 0.002
NOTICES_KEPT: Final = 100_000


class Steps:
    """Steps of a job; each takes the result of the previous one. boto3's optional checksums are off to save
    time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        mongo: MongoClient[Document] = MongoClient(environment["MONGO_URL"])
        self._database = mongo[environment["MONGO_DATABASE"]]
        self._http = urllib3.PoolManager(maxsize=16)
        self._modal = environment["MODAL_BASE_URL"]
        self._keys = {"Modal-Key": environment["MODAL_KEY"], "Modal-Secret": environment["MODAL_SECRET"]}
        self._bucket = environment["S3_BUCKET"]
        self._s3 = _s3(environment)
        self._redis = redis.Redis.from_url(environment["REDIS_URL"])
        self._stream = environment["BENCH_NOTICES"]

    def plan(self, request: Document) -> Document:
        return samples.fields("generation.planned", request["job_id"], request["tenant"])

    def open_job(self, plan: Document) -> Document:
        job_id, tenant = plan["job_id"], plan["tenant"]
        self._database["jobs"].insert_one(samples.job_document(job_id, tenant))
        return samples.fields("render.requested.modal", job_id, tenant)

    def render(self, command: Document) -> Document:
        """Write the intent, call the provider and record the outcome."""
        job_id, tenant = command["job_id"], command["tenant"]
        attempts, intent = self._database["attempts"], samples.attempt_document(job_id, tenant)
        attempts.insert_one(intent)
        call_id, path = self._draw(job_id)
        attempts.update_one({"_id": intent["_id"], "state": "accepted"}, samples.attempt_end(call_id))
        result = samples.fields("render.succeeded", job_id, tenant)
        result["outputs"][0]["path"] = path
        return result

    def store(self, result: Document) -> Document:
        """Download the picture, put it into the bucket and write the asset's document."""
        job_id, tenant = result["job_id"], result["tenant"]
        path = result["outputs"][0]["path"]
        data = self._http.request("GET", f"{self._modal}{path}", headers=self._keys).data
        key = samples.object_key(job_id, tenant)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType="image/png")
        self._database["assets"].insert_one(samples.asset_document(job_id, tenant))
        return samples.fields("result.stored", job_id, tenant)

    def complete(self, stored: Document) -> Document:
        job_id, tenant = stored["job_id"], stored["tenant"]
        jobs = self._database["jobs"]
        job = jobs.find_one({"_id": job_id})
        assert job is not None, f"{job_id} was opened before"
        jobs.replace_one({"_id": job_id, "version": job["version"]}, samples.completed(job))
        return samples.fields("job.events.completed", job_id, tenant)

    def notify(self, event: Document) -> None:
        """Append one notification to a stream, the cheapest replayable notification of Redis."""
        text = samples.body("job.events.completed", event["job_id"], event["tenant"])
        notice: Any = {"job_id": event["job_id"], "event": text}
        self._redis.xadd(self._stream, notice, maxlen=NOTICES_KEPT, approximate=True)

    def all_steps(self, request: Document) -> None:
        """Run all six steps."""
        command = self.open_job(self.plan(request))
        self.notify(self.complete(self.store(self.render(command))))

    def _draw(self, job_id: str) -> tuple[str, str]:
        sent = samples.submission(job_id)
        answer = self._http.request("POST", f"{self._modal}/submit", json=sent, headers=self._keys)
        call_id: str = answer.json()["call_id"]
        while True:
            answer = self._http.request("GET", f"{self._modal}/result/{call_id}", headers=self._keys)
            if answer.status == 200:
                return call_id, answer.json()["outputs"][0]["path"]
            time.sleep(POLL_SECONDS)


def _s3(environment: Mapping[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT"],
        region_name=environment["S3_REGION"],
        aws_access_key_id=environment["S3_ACCESS_KEY"],
        aws_secret_access_key=environment["S3_SECRET_KEY"],
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
