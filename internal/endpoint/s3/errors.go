package s3

import (
	"errors"
	"net/http"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

func accessDenied(message string) *awsapi.Error {
	return &awsapi.Error{Code: "AccessDenied", Message: message, Status: http.StatusForbidden}
}

func invalid(message string) *awsapi.Error {
	return &awsapi.Error{Code: "InvalidArgument", Message: message}
}

func malformedXML() *awsapi.Error {
	return &awsapi.Error{Code: "MalformedXML", Message: "The XML you provided was not well-formed or did not validate against our published schema"}
}

// known turns the store's errors into S3's; others stay as they are.
func known(err error, q *request) error {
	code := func(status int, code, message string) error {
		return &awsapi.Error{Code: code, Message: message, Status: status}
	}
	switch {
	case errors.Is(err, disk.ErrNoBucket):
		return code(404, "NoSuchBucket", "The specified bucket does not exist")
	case errors.Is(err, disk.ErrNoKey):
		return code(404, "NoSuchKey", "The specified key does not exist.")
	case errors.Is(err, disk.ErrNoVersion):
		return code(404, "NoSuchVersion", "The specified version does not exist.")
	case errors.Is(err, disk.ErrNotEmpty):
		return code(409, "BucketNotEmpty", "The bucket you tried to delete is not empty")
	case errors.Is(err, disk.ErrPrecondition):
		return code(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	case errors.Is(err, disk.ErrNoUpload):
		return code(404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
	case errors.Is(err, disk.ErrPart):
		return code(400, "InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
	case errors.Is(err, disk.ErrPartOrder):
		return code(400, "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
	case errors.Is(err, disk.ErrPartSize):
		return code(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
	}
	return err
}
