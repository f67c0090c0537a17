package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/cloudtrail/inflate"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
	_ "github.com/duckdb/duckdb-go/v2" // the database/sql driver
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// collectStage is what `aitrail collect` does.
func collectStage(ctx context.Context, source, out string) (result, error) {
	debug.SetMemoryLimit(collect.MemoryLimit())
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
	return each(ctx, source, func() func(io.Reader) (int64, error) {
		return func(r io.Reader) (int64, error) {
			_, err := io.Copy(io.Discard, r)
			return 0, err
		}
	})
}

// inflater returns a function that inflates one file after the other.
func inflater() func(io.Reader) (io.Reader, error) {
	var member inflate.Member
	var file bytes.Buffer
	zr := new(gzip.Reader)
	return func(r io.Reader) (io.Reader, error) {
		file.Reset()
		if _, err := file.ReadFrom(r); err != nil {
			return nil, err
		}
		if content, ok := member.Content(file.Bytes()); ok {
			return bytes.NewReader(content), nil
		}
		return zr, zr.Reset(&file)
	}
}

// gunzipStage inflates the files.
func gunzipStage(ctx context.Context, source, _ string) (result, error) {
	return each(ctx, source, func() func(io.Reader) (int64, error) {
		inflate := inflater()
		return func(r io.Reader) (int64, error) {
			text, err := inflate(r)
			if err != nil {
				return 0, err
			}
			_, err = io.Copy(io.Discard, text)
			return 0, err
		}
	})
}

// scanStage inflates the files and walks over their JSON, whose records it counts.
func scanStage(ctx context.Context, source, _ string) (result, error) {
	return each(ctx, source, func() func(io.Reader) (int64, error) {
		inflate := inflater()
		var buf bytes.Buffer
		return func(r io.Reader) (int64, error) {
			text, err := inflate(r)
			if err != nil {
				return 0, err
			}
			buf.Reset()
			if _, err := buf.ReadFrom(text); err != nil {
				return 0, err
			}
			n := int64(0)
			cloudtrail.JSON(unsafe.String(unsafe.SliceData(buf.Bytes()), buf.Len())).Member("Records").Elements(func(cloudtrail.JSON) { n++ })
			return n, nil
		}
	})
}

// events returns a function that inflates and decodes one file after the other.
func events(use func(e *cloudtrail.Event, index int) error) func(io.Reader) (int64, error) {
	inflate := inflater()
	var records cloudtrail.Reader
	var e cloudtrail.Event
	return func(r io.Reader) (int64, error) {
		text, err := inflate(r)
		if err != nil {
			return 0, err
		}
		records.Reset(text)
		for n := 0; ; n++ {
			if err := records.Next(&e); errors.Is(err, io.EOF) {
				return int64(n), nil
			} else if err != nil {
				return int64(n), err
			}
			if err := use(&e, n); err != nil {
				return int64(n), err
			}
		}
	}
}

// decodeStage inflates and decodes the files.
func decodeStage(ctx context.Context, source, _ string) (result, error) {
	return each(ctx, source, func() func(io.Reader) (int64, error) {
		return events(func(*cloudtrail.Event, int) error { return nil })
	})
}

// buildStage makes rows of the events, and forgets them.
func buildStage(ctx context.Context, source, out string) (result, error) {
	return rows(ctx, source, out, (*lake.File).Drop)
}

// writeStage writes Parquet files, and commits nothing.
func writeStage(ctx context.Context, source, out string) (result, error) {
	return rows(ctx, source, out, func(f *lake.File) {
		if err := f.Done(nil); err != nil {
			panic(err)
		}
	})
}

// rows makes rows of the events of each file, and ends it.
func rows(ctx context.Context, source, out string, end func(*lake.File)) (result, error) {
	l, err := lake.Open(ctx, out, lake.Options{Create: true})
	if err != nil {
		return result{}, err
	}
	b := l.NewBatch()
	var next atomic.Int64
	r, err := each(ctx, source, func() func(io.Reader) (int64, error) {
		var f *lake.File
		decode := events(func(e *cloudtrail.Event, index int) error { return f.Event(e, index) })
		return func(r io.Reader) (int64, error) {
			f = b.File(lake.LogFile{Object: fmt.Sprintf("file:///%d.json.gz", next.Add(1)), Kind: cloudtrail.KindLog})
			defer f.Drop()
			n, err := decode(r)
			if err == nil {
				end(f)
			}
			return n, err
		}
	})
	return r, errors.Join(err, b.Discard(), l.Close())
}

// each reads every file below source, on all cores, by what worker returns for each core, and adds up the events.
func each(ctx context.Context, source string, worker func() func(io.Reader) (int64, error)) (result, error) {
	var events atomic.Int64
	names := make(chan string)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(names)
		return filepath.WalkDir(source, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			select {
			case names <- name:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			do, in := worker(), bufio.NewReaderSize(nil, 64<<10)
			for name := range names {
				f, err := os.Open(name)
				if err != nil {
					return err
				}
				in.Reset(f)
				n, err := do(in)
				events.Add(n)
				if err := errors.Join(err, f.Close()); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return result{Events: events.Load()}, err
}
