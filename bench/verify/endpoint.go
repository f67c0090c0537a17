package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// endpoint starts `aitrail local` and puts the objects into a bucket there. It returns what clients need of it in their
// environment.
func (b *bench) endpoint(ctx context.Context, objects map[string]object) (env []string, stop func(), err error) {
	dir := filepath.Join(b.dir, "local")
	if err := os.RemoveAll(dir); err != nil {
		return nil, nil, err
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
		return nil, nil, err
	}
	stop = func() { cancel(); _ = c.Wait() } // interrupted, which it calls an error
	line, err := bufio.NewReader(out).ReadString('\n')
	url, found := strings.CutPrefix(strings.TrimSpace(line), "endpoint ")
	if err != nil || !found {
		stop()
		return nil, nil, errors.Join(err, fmt.Errorf("it said %q", line))
	}
	vars, err := readEnv(filepath.Join(dir, "aws.env"))
	if err == nil {
		err = put(ctx, url, vars, objects)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return []string{"AWS_ENDPOINT_URL_S3=" + url, "AWS_ACCESS_KEY_ID=" + vars["AWS_ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY=" + vars["AWS_SECRET_ACCESS_KEY"]}, stop, nil
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

func put(ctx context.Context, url string, vars map[string]string, objects map[string]object) error {
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(url), UsePathStyle: true, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(vars["AWS_ACCESS_KEY_ID"], vars["AWS_SECRET_ACCESS_KEY"], ""),
	})
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for key, o := range objects {
		g.Go(func() error {
			_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(o.body), Metadata: o.meta})
			return err
		})
	}
	return g.Wait()
}
