package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
	_ "github.com/duckdb/duckdb-go/v2" // the database/sql driver
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// collectStage is what `aitrail collect` does.
func collectStage(ctx context.Context, source, out string) (result, error) {
	l, err := lake.Open(ctx, out, lake.Options{Create: true})
	if err != nil {
		return result{}, err
	}
	report, err := collect.Collect(ctx, l, []string{source}, collect.Options{})
	if err != nil {
		return result{}, errors.Join(err, l.Close())
	}
	if report.Failed+report.Quarantined > 0 {
		return result{}, fmt.Errorf("%d files failed, %d quarantined", report.Failed, report.Quarantined)
	}
	if err := l.Close(); err != nil {
		return result{}, err
	}
	size, err := written(out, ".parquet")
	return result{Events: report.Events, Bytes: size}, err
}

// duckdbColumns are the columns of a record that DuckDB is told, so that it needn't look for them: those of the lake,
// free-form objects as JSON text.
const duckdbColumns = `STRUCT(
	eventVersion VARCHAR,
	userIdentity STRUCT("type" VARCHAR, principalId VARCHAR, arn VARCHAR, accountId VARCHAR, accessKeyId VARCHAR, userName VARCHAR,
		sessionContext STRUCT(sessionIssuer STRUCT("type" VARCHAR, principalId VARCHAR, arn VARCHAR, accountId VARCHAR, userName VARCHAR),
			webIdFederationData JSON, attributes STRUCT(creationDate TIMESTAMP, mfaAuthenticated VARCHAR), sourceIdentity VARCHAR, ec2RoleDelivery VARCHAR),
		invokedBy VARCHAR, identityProvider VARCHAR, onBehalfOf STRUCT(userId VARCHAR, identityStoreArn VARCHAR), credentialId VARCHAR, inScopeOf JSON),
	eventTime TIMESTAMP, eventSource VARCHAR, eventName VARCHAR, awsRegion VARCHAR, sourceIPAddress VARCHAR, userAgent VARCHAR,
	errorCode VARCHAR, errorMessage VARCHAR, requestParameters JSON, responseElements JSON, additionalEventData JSON,
	requestID VARCHAR, eventID VARCHAR, readOnly BOOLEAN, resources STRUCT(accountId VARCHAR, "type" VARCHAR, ARN VARCHAR)[],
	eventType VARCHAR, apiVersion VARCHAR, managementEvent BOOLEAN, recipientAccountId VARCHAR, sharedEventID VARCHAR,
	vpcEndpointId VARCHAR, vpcEndpointAccountId VARCHAR, serviceEventDetails JSON, addendum JSON, edgeDeviceDetails JSON, insightDetails JSON,
	eventCategory VARCHAR, tlsDetails STRUCT(tlsVersion VARCHAR, cipherSuite VARCHAR, clientProvidedHostHeader VARCHAR),
	sessionCredentialFromConsole VARCHAR)[]`

// duckdbStage converts the log files by DuckDB alone.
func duckdbStage(ctx context.Context, source, out string) (result, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return result{}, err
	}
	defer db.Close()
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	query := fmt.Sprintf("COPY (SELECT r.* FROM (SELECT unnest(Records) AS r FROM read_json(%s, format = 'unstructured', columns = {Records: %s}))) TO %s (FORMAT parquet, COMPRESSION zstd)",
		quote(filepath.Join(source, "**", "*.json.gz")), quote(duckdbColumns), quote(filepath.Join(out, "events.parquet")))
	done, err := db.ExecContext(ctx, query)
	if err != nil {
		return result{}, err
	}
	events, err := done.RowsAffected()
	if err != nil {
		return result{}, err
	}
	size, err := written(out, ".parquet")
	return result{Events: events, Bytes: size}, err
}

// written returns the bytes of the files below dir whose names end so.
func written(dir, ext string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(d.Name()) != ext {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// readStage reads the files and does nothing with them.
func readStage(ctx context.Context, source, _ string) (result, error) {
	return each(ctx, source, func(r io.Reader) (int64, error) {
		_, err := io.Copy(io.Discard, r)
		return 0, err
	})
}

// gunzipStage inflates the files.
func gunzipStage(ctx context.Context, source, _ string) (result, error) {
	return each(ctx, source, func(r io.Reader) (int64, error) {
		zr, err := gzip.NewReader(r)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, zr)
		return 0, err
	})
}

// decodeStage inflates and decodes the files.
func decodeStage(ctx context.Context, source, _ string) (result, error) {
	return each(ctx, source, func(r io.Reader) (int64, error) {
		zr, err := gzip.NewReader(r)
		if err != nil {
			return 0, err
		}
		records := cloudtrail.NewReader(zr)
		var e cloudtrail.Event
		for n := int64(0); ; n++ {
			if err := records.Next(&e); errors.Is(err, io.EOF) {
				return n, nil
			} else if err != nil {
				return n, err
			}
		}
	})
}

// each calls do for every file below source, on all cores, and adds up the events.
func each(ctx context.Context, source string, do func(io.Reader) (int64, error)) (result, error) {
	var events atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	err := filepath.WalkDir(source, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		g.Go(func() error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			n, err := do(bufio.NewReaderSize(f, 64<<10))
			events.Add(n)
			return err
		})
		return ctx.Err()
	})
	if err := errors.Join(err, g.Wait()); err != nil {
		return result{}, err
	}
	return result{Events: events.Load()}, nil
}
