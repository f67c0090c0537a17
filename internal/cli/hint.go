package cli

import (
	"errors"
	"os"
	"syscall"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/daemon"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
	"github.com/aitrail/aitrail/internal/provision/live"
	"github.com/aitrail/aitrail/internal/query"
)

// hints say what to do next about an error, first match first.
var hints = []struct {
	is   func(error) bool
	hint string
}{
	{is(lake.ErrNoLake), "collect log files first: aitrail collect FOLDER|s3://BUCKET/PREFIX (or give the lake's folder with --lake)"},
	{is(lake.ErrTaken), "give that lake by its own URL (glue://DATABASE, rest+https://HOST/PATH, or the folder or bucket), or make this one elsewhere"},
	{is(lake.ErrNoDatabase), "make it with aitrail up --lake-bucket NAME, or aws glue create-database; or is it in another Region (AWS_REGION)?"},
	{is(lake.ErrDenied), "give a token in AITRAIL_CATALOG_TOKEN, or ID:SECRET in AITRAIL_CATALOG_CREDENTIAL: docs/formats/lake.md#catalogs"},
	{noCatalog, "nothing answers there: check the catalog's address in --lake, and AWS_ENDPOINT_URL for glue://"},
	{as[*lake.VersionError], "the lake was written by a newer aitrail: install that one, or collect into another folder with --lake"},
	{is(collect.ErrNoLogFiles), "name a folder, file or s3://bucket/prefix with CloudTrail's .json.gz or .json log files in it"},
	{is(syscall.ENOSPC), "free some space, or put the lake on another disk with --lake; what was committed is safe, and the same command goes on from there"},
	{is(syscall.EROFS), "that file system can't be written to: put the lake elsewhere with --lake; what only reads (calls, events, query, coverage, status) works there"},
	{is(syscall.EADDRINUSE), "another program listens there: choose another address with --addr, 127.0.0.1:0 takes any free port"},
	{is(object.ErrNotExist), "check the name; for s3:// sources also the Region and endpoint (AWS_ENDPOINT_URL) that are set"},
	{live.IsNoCredentials, "log in to AWS (aws sso login, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or try it on this machine: aitrail local, and --target local"},
	{is(live.ErrNoRegion), "give --region, or set AWS_DEFAULT_REGION or a Region in the profile"},
	{is(live.ErrNotSetUp), "aitrail up makes the set-up; was it made with another --trail or --region?"},
	{is(errNoEndpoint), "start one with aitrail local, or say where it is with --endpoint FOLDER|URL"},
	{as[*wrongAccountError], "choose other credentials with AWS_PROFILE, or leave --account out"},
	{as[*live.BucketError], "bucket names are the whole world's: choose another with --bucket, or the bucket's own Region with --region"},
	{as[*live.KeyError], "take its deletion back (aws kms cancel-key-deletion, enable-key), or use another with --kms-key"},
	{as[*live.SelectorLimitError], "leave types out with --services or --exclude, or set up a trail of its own with --trail"},
	{trailLimit, "a Region takes five trails: delete one (aws cloudtrail describe-trails), or add to one that is there with --trail, --bucket and --prefix"},
	{untrusted, "aws organizations enable-aws-service-access --service-principal cloudtrail.amazonaws.com, in the organization's management account"},
	{live.IsAccessDenied, "the caller lacks this right; what was done stays, and the same command goes on from there"},
	{as[*live.PartialError], "what was done stays; the same command goes on from there"},
	{is(errUnknown), "aitrail doctor --print-policy shows the rights that the checks need"},
	{is(errLiveOnly), "collect the trail's bucket too: its log files hold these events, and come minutes after them"},
	{badCredentials, "AWS doesn't take the credentials: check AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, log in again (aws sso login), or read the endpoint's aws.env anew"},
	{is(syscall.ECONNREFUSED), "nothing answers there: check AWS_ENDPOINT_URL, and that the endpoint runs (aitrail local)"},
	{is(os.ErrPermission), "check who owns it, and who may read and write there"},
	{is(query.ErrTimeout), "give the query more time with --timeout, or have it read less: WHERE eventTime > now() - INTERVAL 1 DAY"},
	{fieldsOf("calls"), "aitrail query 'DESCRIBE calls' shows the columns of calls; a member of one is chosen by its path, as requestParameters.modelId"},
	{fieldsOf("events"), "aitrail query 'DESCRIBE events' shows the columns of events; a member of one is chosen by its path, as requestParameters.modelId"},
	{brokenEngine, "DuckDB fails at this now and then, and not at each try: run it again; of a total beside rows, (SELECT count(*) FROM …) is safe where count(*) OVER () is not"},
	{as[*query.Error], "the views are calls, events, invocations, log_files, digests and cloudtrail_lake; aitrail query 'DESCRIBE calls' shows the columns of one"},
	{as[*daemon.ConfigError], "docs/daemon.md describes the file; aitrail daemon --config FILE --check tries it"},
	{as[usageError], "aitrail help shows the commands, aitrail COMMAND --help its flags"},
}

func hint(err error) string {
	for _, h := range hints {
		if h.is(err) {
			return h.hint
		}
	}
	return pulumiHint(err)
}

// fieldsOf tells whether a field is wrong that was asked of a view.
func fieldsOf(view string) func(error) bool {
	return func(err error) bool {
		var e fieldError
		return errors.As(err, &e) && e.view == view
	}
}

// brokenEngine tells whether DuckDB failed by itself, as 1.5.5 does now and then at aggregates OVER ():
// https://github.com/duckdb/duckdb/issues/25713.
func brokenEngine(err error) bool {
	var e *query.Error
	return errors.As(err, &e) && e.Kind == query.Internal
}

// badCredentials tells whether AWS didn't accept who called.
func badCredentials(err error) bool {
	return live.HasCode(err, "InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException", "SignatureDoesNotMatch",
		"ExpiredToken", "ExpiredTokenException", "InvalidToken")
}

// noCatalog tells whether the catalog of a lake can't be reached.
func noCatalog(err error) bool {
	return errors.Is(err, lake.ErrCatalog) && errors.Is(err, syscall.ECONNREFUSED)
}

// trailLimit tells whether a Region has as many trails as it takes.
func trailLimit(err error) bool { return live.HasCode(err, "MaximumNumberOfTrailsExceededException") }

// untrusted tells whether an organization doesn't let CloudTrail in.
func untrusted(err error) bool { return live.HasCode(err, "CloudTrailAccessNotEnabledException") }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}
