package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// local is a running `aitrail local` with a bucket.
type local struct {
	env    []string // what clients need of it
	stop   func()
	client *s3.Client
}

// endpoint starts `aitrail local` and puts the objects into a bucket there.
func (b *bench) endpoint(ctx context.Context, objects map[string]object) (*local, error) {
	dir := filepath.Join(b.dir, "local")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := exec.CommandContext(ctx, b.aitrail, "local", "--dir", dir, "--addr", "127.0.0.1:0")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	stop := func() { cancel(); _ = c.Wait() } // interrupted, which it calls an error
	line, err := bufio.NewReader(out).ReadString('\n')
	url, found := strings.CutPrefix(strings.TrimSpace(line), "endpoint ")
	if err != nil || !found {
		stop()
		return nil, errors.Join(err, fmt.Errorf("it said %q", line))
	}
	vars, err := readEnv(filepath.Join(dir, "aws.env"))
	if err != nil {
		stop()
		return nil, err
	}
	id, secret := vars["AWS_ACCESS_KEY_ID"], vars["AWS_SECRET_ACCESS_KEY"]
	l := &local{
		env: []string{"AWS_ENDPOINT_URL_S3=" + url, "AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secret}, stop: stop,
		client: s3.New(s3.Options{BaseEndpoint: aws.String(url), UsePathStyle: true, Region: "us-east-1",
			Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")}),
	}
	if _, err = l.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err == nil {
		err = l.change(ctx, nil, objects)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return l, nil
}

// readEnv reads the exports of a shell file.
func readEnv(name string) (map[string]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok {
			vars[name] = strings.Trim(value, `'"`)
		}
	}
	return vars, nil
}

// change puts into the bucket what is other than it was, and removes what is no more.
func (l *local) change(ctx context.Context, was, is map[string]object) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for key, o := range is {
		if old, ok := was[key]; ok && bytes.Equal(old.body, o.body) && maps.Equal(old.meta, o.meta) {
			continue
		}
		g.Go(func() error {
			_, err := l.client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(o.body), Metadata: o.meta})
			return err
		})
	}
	for key := range was {
		if _, stays := is[key]; !stays {
			g.Go(func() error {
				_, err := l.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
				return err
			})
		}
	}
	return g.Wait()
}
